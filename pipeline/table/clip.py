"""The audio of one planned row, as it is heard: mono, 16 kHz."""

from __future__ import annotations

from pipeline import audio, sources
from pipeline.audio.wav import encode_wav
from pipeline.corpus import Recording, Unit
from pipeline.errors import RecordingError


def clip(recording: Recording) -> bytes:
    """WAV file of the stretch that a row is about.

    Raises:
        RecordingError: it cannot be read as it was planned, or not decoded.
        StorageFault: storage failed for longer than the retries.
    """
    encoded = sources.read(Unit("", (recording,)))
    if encoded.errors:
        error = encoded.errors[0]
        raise RecordingError(error.stage, error.type, error.message)
    place = encoded.slices[0]
    if place is None:
        with sources.open_audio(recording) as file:
            decoded = audio.decode(file, start=recording.start, end=recording.end)
    else:
        blob = memoryview(encoded.payload)[place[0] : place[0] + place[1]]
        decoded = audio.decode(blob, start=recording.start, end=recording.end)
    return encode_wav(decoded.samples)
