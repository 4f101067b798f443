"""Encoded bytes to blocks of samples, through libsndfile."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio import constants, flac, heads, joined, riff, truncation
from pipeline.audio.virtual import Audio, VirtualFile
from pipeline.corpus import Seconds
from pipeline.errors import RecordingError

_UNKNOWN = 1 << 62
"""libsndfile reports 2**63 - 1 frames where a FLAC header leaves the length out."""

_BAD_FILE = 7
"""What libsndfile's MP3 decoder answers to noise: "File does not exist or is not a regular file"."""

_SALVAGED = 64
"""Samples of an MP3 that are read at once where damage is near, for the last of these steps is lost: 1 to 8 ms."""


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A SoundFile that does not seek to where it stands after each read.

    That seek costs time in compressed formats, and on a truncated FLAC it fails and takes the block with it.
    """

    def seekable(self) -> bool:
        return False


class Reader:
    """An open recording: blocks of float32 samples, from wherever `seek` put it.

    Raises:
        RecordingError: type `empty` (no bytes) or `decode` (no audio that libsndfile knows, or absurd).
    """

    def __init__(self, audio: Audio) -> None:
        self._file = VirtualFile(audio)
        self._wave, self._head = self._prepare()
        self._sound = self._open()
        self.sample_rate: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        self._is_guess = self._sound.format == "MP3" and not joined.counts_frames(self._file.peek)
        """Whether the length of an MP3 is what libsndfile makes of the size of the file and the bit rate of a frame."""
        self._file.check()
        # GSM 6.10, G.721 and NMS ADPCM only go forward.
        self._can_seek = soundfile.SoundFile.seekable(self._sound)
        self.position = 0
        self.ended = False
        self.damage = ""
        """What libsndfile says about why it ended early."""
        self._found: tuple[str | None] | None = None
        """What `truncation` gave at this end of the recording: each crop asks."""
        self._check_limits()
        self._buffer = np.empty((max(1, constants.BLOCK_VALUES // self.channels), self.channels), dtype=np.float32)

    def __enter__(self) -> Self:
        """Use it in a `with`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close libsndfile's side; the caller's file stays open."""
        self._sound.close()

    def read(self, num_frames: int) -> NDArray[np.float32]:
        """The next samples, (n, channels) with n <= `num_frames`; n = 0 only at the end.

        The array is a view that the next call overwrites. Damage in the middle ends the recording there.
        """
        block = self._buffer[: max(0, num_frames)]
        if self.ended or not len(block):
            return block[:0]
        if self._sound.format == "MP3":
            # Asked for more than the length it took, libsndfile reads on, and drops what comes: `truncation` misses it.
            block = block[: max(0, self._sound.frames - self.position)]
        try:
            num_read = self._sound.buffer_read_into(block, dtype="float32")
        except soundfile.LibsndfileError as error:
            self.damage = _sentence(error)
            is_mp3 = self._sound.format == "MP3"
            num_read = self._salvaged(block) if is_mp3 else max(0, self._sound.tell() - self.position)
        self._file.check()
        self.position += num_read
        self.ended = bool(self.damage) or not num_read
        return block[:num_read]

    def _salvaged(self, block: NDArray[np.float32]) -> int:
        """Read a block of an MP3 again that libsndfile threw away at damage; how many samples are before that."""
        num_read = 0
        try:
            self._sound.seek(self.position)
            while num_read < len(block):
                got = self._sound.buffer_read_into(block[num_read : num_read + _SALVAGED], dtype="float32")
                if not got:
                    break
                num_read += got
        except soundfile.LibsndfileError as error:
            self.damage = _sentence(error)
        else:
            self.damage = ""
        return num_read

    def seek(self, frame: int) -> None:
        """Go to `frame`; beyond the end, or where damage forbids it, the recording has `ended`."""
        if frame == self.position and not self.ended:
            return
        if not self._can_seek:
            self._decode_up_to(frame)
            return
        try:
            self._sound.seek(frame)
        except soundfile.LibsndfileError as error:
            self.damage = self.damage or _sentence(error)
            self.ended = True
        else:
            self._begin_at(frame)
        self._file.check()

    def _decode_up_to(self, frame: int) -> None:
        """Go to `frame` the long way, from the start where it lies behind."""
        if frame < self.position:
            self._sound.close()
            self._file.seek(0)
            self._sound = self._open()
            self._begin_at(0)
        while not self.ended and self.position < frame:
            self.read(frame - self.position)

    def _begin_at(self, frame: int) -> None:
        self.position, self.ended, self.damage, self._found = frame, False, "", None

    def declared_seconds(self) -> Seconds | None:
        """Length as libsndfile reads it from header and file size; None where only decoding would tell."""
        frames: int = self._sound.frames
        if self._is_guess:
            # Made of the size of the whole file: tags, often a picture, are no audio.
            size, start = self._file.size(), joined.behind_tags(self._file.peek, 0)
            frames = frames * max(0, size - start) // max(1, size)
        return frames / self.sample_rate if frames < _UNKNOWN else None

    def truncation(self) -> str | None:
        """Once the recording has ended: a sentence about what was promised and did not decode, or None."""
        if self._found is None:
            self._found = (self._truncation(),)
        return self._found[0]

    def _truncation(self) -> str | None:
        seconds = self.position / self.sample_rate
        declared = self._promised()
        slack = constants.SLACK_SECONDS * self.sample_rate if self._is_mpeg() else 0
        reason = f" ({self.damage})" if self.damage else ""
        if declared is not None and self.position + slack < declared:
            return f"truncated: {seconds:.2f} s decode of {declared / self.sample_rate:.2f} s declared{reason}"
        if self._goes_on():
            return _behind(seconds, reason)
        if self.damage and declared is None and self._sound.subtype != "MPEG_LAYER_III":
            return f"truncated: {seconds:.2f} s decode, the declared length is unknown{reason}"
        if self._holds_more():
            return f"truncated: {seconds:.2f} s decode, the header declares less than the file holds"
        return self._ogg_truncation(seconds) if self._sound.format == "OGG" else None

    def _promised(self) -> int | None:
        """Samples that the header counts; None where it does not."""
        if self._is_guess:
            return None
        declared = truncation.declared_frames(self._sound.frames, self._sound.extra_info)
        return declared if declared < _UNKNOWN else None

    def _is_mpeg(self) -> bool:
        """MP3 alone or in a WAV: of its first and last frame a part is no audio, and not all who count leave it out."""
        return bool(self._sound.subtype.startswith("MPEG_"))

    def _holds_more(self) -> bool:
        """Whether samples follow that the header of a WAV or FLAC does not count."""
        size = self._file.size()
        found = self._wave is not None and riff.has_surplus(self._wave, self._file.peek, size)
        if self._sound.format == "FLAC":
            tail = self._file.peek(max(0, size - flac.TAIL), flac.TAIL)
            found = flac.has_surplus(self._head[: flac.STREAMINFO], tail, self.position)
        self._file.check()
        return found

    def _ogg_truncation(self, seconds: Seconds) -> str | None:
        start = max(0, self._file.size() - truncation.OGG_TAIL)
        tail = self._file.peek(start, truncation.OGG_TAIL)
        self._file.check()
        if joined.is_chained(self._head, tail):
            return _behind(seconds)
        if truncation.lacks_end_mark(tail):
            return f"truncated: {seconds:.2f} s decode, the declared length is unknown (no end mark)"
        return None

    def _goes_on(self) -> bool:
        """Whether another stream follows, of FLAC, or frames of MP3."""
        position, found = self._file.tell(), False
        if self._sound.format == "MP3":
            found = joined.mp3_goes_on(self._file.peek, position)
            if self.damage and not found:
                # Which may be longer than what is looked through for the next frame.
                found = joined.mp3_ends_in_frames(self._file.peek, position, self._file.size())
        elif self._sound.format == "FLAC":
            # The first begins with the file.
            start = max(1, position - flac.NEAR)
            found = flac.has_start(self._file.peek(start, position + flac.NEAR - start))
        self._file.check()
        return found

    def _prepare(self) -> tuple[riff.Wave | None, bytes]:
        """Show libsndfile what it can read; what a WAV's header said, and the first bytes of a FLAC or Ogg."""
        size = self._file.size()
        self._file.check()
        if not size:
            raise RecordingError("decode", "empty", "the file has no bytes")
        wave = heads.show_readable(self._file)
        # Looked at while it is at hand: a long file is read in stretches, from afar, and an Ogg is opened at its end.
        head = self._file.peek(0, flac.STREAMINFO)
        if head.startswith(b"OggS"):
            head = self._file.peek(0, joined.OGG_HEAD)
        self._file.check()
        return wave, head

    def _open(self) -> soundfile.SoundFile:
        header = self._file.peek(0, 12)
        self._file.check()
        try:
            return _Forward(self._file)
        except soundfile.SoundFileError as error:
            message = f"not an audio file that libsndfile knows (header {header!r}): {_sentence(error)}"
            raise RecordingError("decode", "decode", message) from error
        finally:
            self._file.check()

    def _check_limits(self) -> None:
        if not constants.MIN_SOURCE_RATE <= self.sample_rate <= constants.MAX_SOURCE_RATE:
            limits = f"{constants.MIN_SOURCE_RATE} to {constants.MAX_SOURCE_RATE} Hz"
            raise RecordingError(
                "decode", "decode", f"the sample rate must be {limits}, the header says {self.sample_rate}"
            )
        if not 1 <= self.channels <= constants.MAX_CHANNELS:
            limits = f"1 to {constants.MAX_CHANNELS} channels"
            raise RecordingError("decode", "decode", f"needs {limits}, the header says {self.channels}")


def _behind(seconds: Seconds, reason: str = "") -> str:
    return f"truncated: {seconds:.2f} s decode, more audio follows in the file and is not decoded{reason}"


def _sentence(error: soundfile.SoundFileError) -> str:
    if not isinstance(error, soundfile.LibsndfileError):
        return str(error)
    if error.code == _BAD_FILE:
        return "no frame of it decodes"
    return str(error.error_string).removeprefix("Error : ").rstrip(".")
