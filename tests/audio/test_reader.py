from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile

from pipeline.audio.reader import Reader
from pipeline.errors import RecordingError, StorageFault
from pipeline.storage import rangefile

Encode = Callable[..., bytes]
Babble = Callable[..., np.ndarray]

_RATE, _CHANNELS = (24, "<I"), (22, "<H")
"""Where a WAV header holds them."""


def patched(data: bytes, place: tuple[int, str], value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(place[1], changed, place[0], value)
    return bytes(changed)


def read_all(reader: Reader, size: int = 5000) -> np.ndarray:
    blocks = [np.empty((0, reader.channels), dtype=np.float32)]
    while len(block := reader.read(size)):
        blocks.append(block.copy())
    return np.concatenate(blocks)


class Breaking(io.BytesIO):
    """A file whose storage gives up after some bytes."""

    def __init__(self, data: bytes, after: int, error: BaseException) -> None:
        super().__init__(data)
        self._after, self._error = after, error

    def readinto(self, buffer: Any) -> int:
        if self.tell() + len(buffer) > self._after and self.tell() < len(self.getvalue()) - 300000:
            raise self._error
        return super().readinto(buffer)


@pytest.mark.parametrize("codec", ["wav", "wav-float", "flac", "ogg", "opus", "mp3", "aiff", "au", "w64", "rf64"])
def test_blocks_are_the_whole(encode: Encode, babble: Babble, codec: str) -> None:
    data = encode(babble(3.3), codec=codec)
    whole = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]
    with Reader(data) as reader:
        np.testing.assert_allclose(read_all(reader), whole, atol=1e-6, rtol=0)
        assert (reader.ended, reader.position, reader.truncation()) == (True, len(whole), None)


@pytest.mark.parametrize("codec", ["ogg", "opus", "mp3"])
def test_a_second_stream_behind_the_first_is_told(encode: Encode, babble: Babble, codec: str) -> None:
    data = encode(babble(2.0), codec=codec) + encode(babble(1.0, seed=1), codec=codec)
    with Reader(data) as reader:
        assert len(read_all(reader)) == 32000
        expected = "truncated: 2.00 s decode, more audio follows in the file and is not decoded"
        assert reader.truncation() == expected


@pytest.mark.parametrize("seconds", [(60.0, 30.0), (61.3, 30.0), (2.0, 0.05)])
@pytest.mark.parametrize("size", [5000, 1 << 18])
@pytest.mark.parametrize("between", [b"", b"ID3\4\0\0\0\0\1\x48" + bytes(200)], ids=["nothing", "a tag"])
def test_a_second_flac_behind_the_first_is_told(
    encode: Encode, babble: Babble, seconds: tuple[float, float], size: int, between: bytes
) -> None:
    first, second = (encode(babble(each), codec="flac") for each in seconds)
    with Reader(first + between + second) as reader:
        assert len(read_all(reader, size)) == round(seconds[0] * 16000)
        expected = f"truncated: {seconds[0]:.2f} s decode, more audio follows in the file and is not decoded"
        assert str(reader.truncation()).startswith(expected)


ID3V1 = b"TAG" + b"title".ljust(125, b"\0")
ID3V2 = b"ID3\4\0\0\0\0\1\x48" + b"\xff\xfb\x90" + bytes(197)
APE = b"APETAGEX" + struct.pack("<IIII8x", 2000, 5000, 1, 0xA0000000) + b"\xff" * 5000
TAGS = {"none": b"", "id3v1": ID3V1, "id3v2": ID3V2, "ape": APE, "zeros": bytes(900), "all": APE + ID3V2 + ID3V1}


@pytest.mark.parametrize("tags", list(TAGS))
def test_tags_of_an_mp3_are_no_audio_that_is_left(encode: Encode, babble: Babble, tags: str) -> None:
    first, second = (encode(babble(seconds), codec="mp3") for seconds in (2.0, 1.0))
    for data, goes_on in ((first, False), (ID3V2 + first, False), (first + TAGS[tags] + second, True)):
        with Reader(data + TAGS[tags]) as reader:
            assert len(read_all(reader)) == 32000
            assert (reader.truncation() is not None) == goes_on


def without_length(data: bytes) -> bytes:
    """An MP3 without its first frame, which counts the others."""
    return data[data.find(b"\xff\xf3", 4) :]


@pytest.mark.parametrize("size", [5000, 1 << 18])
def test_an_mp3_of_which_libsndfile_guesses_too_short_a_length_is_told(
    encode: Encode, babble: Babble, size: int
) -> None:
    with Reader(without_length(encode(babble(20.0), codec="mp3"))) as reader:
        assert len(read_all(reader, size)) < 15 * 16000
        assert "more audio follows" in str(reader.truncation())


def test_joined_mp3s_that_are_decoded_whole_are_not_called_truncated(encode: Encode) -> None:
    data = without_length(encode(np.zeros(160000, dtype=np.float32), codec="mp3"))
    with Reader(data + data) as reader:
        assert len(read_all(reader)) > 310000
        assert reader.truncation() is None


def constant(samples: np.ndarray) -> bytes:
    """An MP3 of constant bit rate whose frames nobody has counted."""
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, format="MP3", bitrate_mode="CONSTANT", compression_level=0.5)
    return without_length(file.getvalue())


PADDING = {
    "zeros": bytes(5000),
    "lyrics": b"LYRICSBEGININD0000200LYR04000" + b"la la la, " * 400 + b"LYRICS200",
    "text": b"Recorded on a Tuesday. " * 300,
}


@pytest.mark.parametrize("behind", list(PADDING))
@pytest.mark.parametrize("seconds", [3.0, 30.0])
def test_all_of_an_mp3_is_kept_whatever_stands_behind_its_last_frame(
    babble: Babble, seconds: float, behind: str
) -> None:
    data = constant(babble(seconds))
    with Reader(data) as reader:
        whole = read_all(reader, 1 << 18)
        assert reader.truncation() is None
    with Reader(data + PADDING[behind]) as reader:
        padded = read_all(reader, 1 << 18)
        assert reader.truncation() is None
    assert len(whole) - 64 < len(padded) <= len(whole)
    np.testing.assert_allclose(padded, whole[: len(padded)], atol=1e-6, rtol=0)


@pytest.mark.parametrize("length", [2000, 200_000])
@pytest.mark.parametrize("counted", [True, False])
def test_an_mp3_with_damage_in_the_middle_keeps_what_is_before_it(
    encode: Encode, babble: Babble, length: int, counted: bool
) -> None:
    data = encode(babble(120.0), codec="mp3") if counted else constant(babble(120.0))
    middle = len(data) // 2
    broken = data[: middle - length // 2] + bytes(length) + data[middle + length // 2 :]
    with Reader(broken) as reader:
        kept = len(read_all(reader, 1 << 18)) / 16000
        told = str(reader.truncation())
    assert 0.1 * 120 < kept < 0.6 * 120
    assert told.startswith(f"truncated: {kept:.2f} s decode")
    assert ("of 120.00 s declared" in told) == counted
    assert ("more audio follows" in told) != counted
    assert told.endswith("(Unspecified internal error)")


@pytest.mark.parametrize("failing", [0, 3])
def test_an_mp3_that_decodes_when_it_is_read_again_is_whole(
    encode: Encode, babble: Babble, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    data, read, calls = encode(babble(3.0), codec="mp3"), soundfile.SoundFile.buffer_read_into, []
    whole = read_all(Reader(data))

    def fails_once(sound: soundfile.SoundFile, *args: Any, **options: Any) -> int:
        calls.append(sound)
        if len(calls) == failing + 1:
            raise soundfile.LibsndfileError(1)
        return read(sound, *args, **options)

    monkeypatch.setattr(soundfile.SoundFile, "buffer_read_into", fails_once)
    with Reader(data) as reader:
        np.testing.assert_allclose(read_all(reader), whole, atol=1e-6, rtol=0)
        assert (reader.damage, reader.truncation()) == ("", None)
    assert len(calls) > 5000 // 64


PICTURE = b"ID3\3\0\0\0\6\x0c\x10" + bytes(6 << 14 | 12 << 7 | 16)
LONG_APE = b"APETAGEX" + struct.pack("<IIII8x", 2000, 50_000, 1, 0xA0000000) + bytes(50_000)


@pytest.mark.parametrize(("before", "behind"), [(PICTURE, b""), (b"", LONG_APE)], ids=["picture", "APE"])
def test_tags_of_an_mp3_are_no_audio_that_it_declares(babble: Babble, before: bytes, behind: bytes) -> None:
    data = constant(babble(10.0))
    with Reader(data) as reader:
        declared, whole = reader.declared_seconds(), read_all(reader)
    with Reader(before + data + behind) as reader:
        assert len(read_all(reader)) == pytest.approx(len(whole), abs=64)
        assert reader.truncation() is None
        if before:
            assert reader.declared_seconds() == pytest.approx(declared, abs=0.01)


def test_an_mp3_that_is_emptied_while_it_is_open_has_no_length(babble: Babble) -> None:
    file = io.BytesIO(constant(babble(10.0)))
    with Reader(file) as reader:
        file.truncate(0)
        assert reader.declared_seconds() == 0


@pytest.mark.parametrize("codec", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("frame", [1, 7000, 40000])
def test_seeking_lands_on_the_sample(encode: Encode, babble: Babble, codec: str, frame: int) -> None:
    data = encode(babble(3.3), codec=codec)
    with Reader(data) as reader:
        whole = read_all(reader)
        reader.seek(frame)
        np.testing.assert_allclose(read_all(reader), whole[frame:], atol=1e-6, rtol=0)


@pytest.mark.parametrize("subtype", ["GSM610", "G721_32", "NMS_ADPCM_24"])
def test_what_only_goes_forward_is_sought_by_decoding(babble: Babble, subtype: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, babble(40.0, 8000), 8000, format="WAV", subtype=subtype)
    with Reader(file.getvalue()) as reader:
        whole = read_all(reader)
        for frame in (240_001, 100, 100, 300_000):
            reader.seek(frame)
            assert (reader.position, reader.ended) == (frame, False)
            np.testing.assert_array_equal(reader.read(1000), whole[frame : frame + 1000])
        reader.seek(len(whole) + 1)
        assert (reader.ended, reader.damage) == (True, "")


@pytest.mark.parametrize(
    "data",
    [b"hello, this is a text " * 99, bytes(1000), b"RIFF", b"ID3" + bytes(300), b"\xff\xfb\x90\x64" + b"hello" * 999],
    ids=["text", "zeros", "four letters", "a tag", "an MP3 header"],
)
def test_what_is_not_audio_is_named_by_its_first_bytes(data: bytes) -> None:
    with pytest.raises(RecordingError, match=r"not an audio file that libsndfile knows \(header b'") as caught:
        Reader(data)
    assert (caught.value.error.stage, caught.value.error.type) == ("decode", "decode")
    assert repr(data[:12]) in str(caught.value)


def test_no_bytes_are_empty() -> None:
    with pytest.raises(RecordingError, match="no bytes") as caught:
        Reader(b"")
    assert caught.value.error.type == "empty"


@pytest.mark.parametrize("rate", [0, 1, 999, 768_001, 2**31 - 1, 2**32 - 1])
def test_absurd_sample_rates_are_refused(encode: Encode, babble: Babble, rate: int) -> None:
    with pytest.raises(RecordingError, match="sample rate must be|not an audio file"):
        Reader(patched(encode(babble(0.1)), _RATE, rate))


@pytest.mark.parametrize("channels", [0, 129, 1024, 65535])
def test_absurd_channel_counts_are_refused(encode: Encode, babble: Babble, channels: int) -> None:
    with pytest.raises(RecordingError, match="needs 1 to 128 channels|not an audio file"):
        Reader(patched(encode(babble(1.0)), _CHANNELS, channels))


@pytest.mark.parametrize("codec", ["wav", "flac", "mp3"])
def test_a_header_that_claims_billions_costs_nothing(encode: Encode, babble: Babble, codec: str) -> None:
    data = bytearray(encode(babble(2.0), codec=codec))
    if codec == "wav":
        struct.pack_into("<I", data, 40, 0x7FFFEFFF)
    elif codec == "flac":
        data[21] |= 0x0F
        data[22:26] = b"\xff" * 4
    else:
        xing = max(data.find(b"Xing"), data.find(b"Info"))
        struct.pack_into(">I", data, xing + 8, 0x7FFFFFFF)
    with Reader(bytes(data)) as reader:
        assert abs(len(read_all(reader)) - 32000) < 2400
        assert "truncated: 2.0" in str(reader.truncation())


def test_a_flac_of_unknown_length_is_whole(encode: Encode, babble: Babble) -> None:
    data = bytearray(encode(babble(2.0), codec="flac"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    with Reader(bytes(data)) as reader:
        assert reader.declared_seconds() is None
        assert len(read_all(reader)) == 32000
        assert reader.truncation() is None


@pytest.mark.parametrize("behind", [ID3V1, bytes(5000), b"", LONG_APE], ids=["ID3v1", "zeros", "nothing", "APE"])
def test_a_flac_with_all_its_samples_is_whole_whatever_stands_behind(
    encode: Encode, babble: Babble, behind: bytes
) -> None:
    data = encode(babble(3.0), codec="flac") + behind
    for size in (5000, 1 << 18):
        with Reader(data) as reader:
            assert len(read_all(reader, size)) == 48000
            assert reader.truncation() is None


@pytest.mark.parametrize(
    ("format", "subtype", "most"),
    [("WAV", "PCM_16", 2), ("FLAC", "PCM_16", 2), ("AIFF", "PCM_16", 2), ("OGG", "VORBIS", 4)],
)
def test_a_long_recording_afar_is_read_in_few_requests(
    babble: Babble, monkeypatch: pytest.MonkeyPatch, format: str, subtype: str, most: int
) -> None:
    second, buffer, requests = babble(1.0), io.BytesIO(), []
    with soundfile.SoundFile(buffer, "w", 16000, 1, format=format, subtype=subtype) as sound:
        while buffer.tell() < 1_300_000:
            sound.write(second)
    data = buffer.getvalue()

    def fetch(uri: str, offset: int, size: int) -> bytes:
        requests.append(offset)
        return data[offset : offset + size]

    monkeypatch.setattr(rangefile, "read_range", fetch)
    with Reader(rangefile.RangeFile("s3://a/b", 0, len(data))) as reader:
        while len(reader.read(1 << 18)):
            pass
        assert reader.truncation() is None
    assert len(requests) <= most


@pytest.mark.parametrize("codec", ["wav", "flac"])
def test_a_header_that_counts_less_than_the_file_holds_is_told(encode: Encode, babble: Babble, codec: str) -> None:
    data = bytearray(encode(babble(30.0), codec=codec))
    if codec == "wav":
        struct.pack_into("<I", data, 40, 320_000)
    else:
        counted = int.from_bytes(data[18:26], "big")
        data[18:26] = (counted >> 36 << 36 | 160_000).to_bytes(8, "big")
    with Reader(bytes(data)) as reader:
        assert len(read_all(reader)) == 160_000
        assert reader.truncation() == "truncated: 10.00 s decode, the header declares less than the file holds"


@pytest.mark.parametrize("tag", [ID3V2 + ID3V1, APE], ids=["ID3", "APE"])
def test_tags_behind_a_wav_are_no_audio(encode: Encode, babble: Babble, tag: bytes) -> None:
    for seconds in (0.0, 3.0):
        with Reader(encode(babble(seconds)) + tag * 7) as reader:
            assert (len(read_all(reader)), reader.truncation()) == (seconds * 16000, None)


def mp3_in_wav(frames: bytes, num_samples: int) -> bytes:
    """MP3 as Audacity and broadcasters export it: format 0x55, and a `fact` chunk that counts the samples."""
    fmt = struct.pack("<HHIIHHHHIHHH", 0x55, 1, 16000, len(frames) // 3, 1, 0, 12, 1, 2, 360, 1, 0)
    chunks = ((b"fmt ", fmt), (b"fact", struct.pack("<I", num_samples)), (b"data", frames))
    body = b"WAVE" + b"".join(name + struct.pack("<I", len(each)) + each for name, each in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(("held", "told"), [(1.0, False), (0.5, True)], ids=["whole", "cut"])
def test_an_mp3_in_a_wav_need_not_decode_to_the_last_sample_that_libsndfile_expects(
    babble: Babble, held: float, told: bool
) -> None:
    data = mp3_in_wav(constant(babble(3.0)), 48000)
    with Reader(data[: round(held * len(data))]) as reader:
        # It takes the header of the WAV for audio, too.
        assert len(read_all(reader)) < reader._sound.frames
        assert (reader.truncation() is not None) == told


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_that_was_streamed_is_not_called_truncated(encode: Encode, babble: Babble, size: int) -> None:
    data = patched(encode(babble(2.0)), (40, "<I"), size)
    with Reader(data) as reader:
        assert len(read_all(reader)) == 32000
        assert reader.truncation() is None


@pytest.mark.parametrize(
    ("codec", "declared"),
    [("wav", True), ("wav-float", True), ("aiff", True), ("au", True), ("w64", True), ("rf64", True)]
    + [("flac", True), ("mp3", True), ("ogg", False), ("opus", False)],
)
@pytest.mark.parametrize("size", [300, 4096, 1 << 18])
def test_a_truncated_file_keeps_what_decodes(
    encode: Encode, babble: Babble, codec: str, declared: bool, size: int
) -> None:
    data = encode(babble(10.0), codec=codec)
    whole = read_all(Reader(data))
    with Reader(data[: len(data) // 2]) as reader:
        kept = read_all(reader, size)
        message = str(reader.truncation())
    assert 0.35 * len(whole) < len(kept) < 0.6 * len(whole)
    np.testing.assert_allclose(kept[:60000], whole[:60000], atol=1e-6, rtol=0)
    assert message.startswith(f"truncated: {len(kept) / 16000:.2f} s decode")
    assert ("of 10.00 s declared" in message) == declared


def test_a_truncated_flac_keeps_the_frames_before_the_cut(encode: Encode, babble: Babble) -> None:
    data = encode(babble(10.0), codec="flac")
    lengths = {len(read_all(Reader(data[: len(data) // 2]), size)) for size in (300, 4096, 65536)}
    assert len(lengths) == 1
    assert lengths.pop() % 4096 == 0


def test_damage_in_a_flac_ends_it_there(encode: Encode, babble: Babble) -> None:
    data = bytearray(encode(babble(10.0), codec="flac"))
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    with Reader(bytes(data)) as reader:
        assert 60000 < len(read_all(reader)) < 90000
        assert "of 10.00 s declared (" in str(reader.truncation())


def test_a_seek_to_nowhere_ends_the_recording(encode: Encode, babble: Babble) -> None:
    with Reader(encode(babble(1.0))) as reader:
        reader.seek(10**9)
        assert (reader.ended, len(reader.read(10))) == (True, 0)
        reader.seek(0)
        assert (reader.ended, len(read_all(reader))) == (False, 16000)


@pytest.mark.parametrize("codec", ["wav", "flac", "ogg"])
def test_what_was_missing_is_not_said_of_another_end(encode: Encode, babble: Babble, codec: str) -> None:
    with Reader(encode(babble(1.0), codec=codec)) as reader:
        reader.seek(10**9)
        assert str(reader.truncation()).startswith("truncated: 0.00 s")
        reader.seek(0)
        assert (len(read_all(reader)), reader.truncation()) == (16000, None)


@pytest.mark.parametrize("codec", ["wav", "flac"])
@pytest.mark.parametrize("error", [StorageFault("503 for an hour"), KeyboardInterrupt("enough")])
def test_a_fault_of_the_storage_is_not_a_truncated_recording(
    encode: Encode, babble: Babble, codec: str, error: BaseException
) -> None:
    data = encode(babble(60.0), codec=codec)
    with Reader(Breaking(data, 200_000, error)) as reader, pytest.raises(type(error), match=str(error)):
        read_all(reader)


def test_a_fault_while_opening_is_not_a_broken_file(encode: Encode, babble: Babble) -> None:
    with pytest.raises(StorageFault, match="no route"):
        Reader(Breaking(encode(babble(60.0)), 0, StorageFault("no route")))


@pytest.mark.parametrize("codec", ["wav", "wav-float", "flac", "ogg", "mp3", "aiff", "au", "w64", "rf64"])
def test_noise_in_a_file_is_never_more_than_a_recording_error(encode: Encode, babble: Babble, codec: str) -> None:
    data, random = encode(babble(0.5), codec=codec), np.random.default_rng(7)
    outcomes = {_outcome(_noisy(data, random)) for _ in range(60)}
    assert outcomes == {"read", "decode"}


def _noisy(data: bytes, random: np.random.Generator) -> bytes:
    """Some bytes changed, in the header or anywhere, and sometimes cut."""
    noisy = np.frombuffer(data, dtype=np.uint8).copy()
    places = random.integers(0, random.choice([60, len(data)]), 2)
    noisy[places] = random.integers(0, 256, 2)
    return noisy.tobytes()[: random.choice([len(data), random.integers(1, len(data))])]


def _outcome(data: bytes) -> str:
    try:
        with Reader(data) as reader:
            return "read" if len(read_all(reader)) == reader.position else "lost"
    except RecordingError as error:
        return error.error.type
