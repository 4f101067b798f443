import io

import pytest
import soundfile

from pipeline import audio
from pipeline.errors import RecordingError
from pipeline.sources import names
from pipeline.sources.names import Place


@pytest.mark.parametrize(
    ("path", "extension", "without"),
    [
        ("a/b.WAV", "wav", "a/b"),
        ("a.b/c", "", "a.b/c"),
        ("a/.wav", "", "a/.wav"),
        ("a.tar.gz", "gz", "a.tar"),
        ("x.", "", "x."),
        ("a b#c%20?.flac", "flac", "a b#c%20?"),
    ],
)
def test_extension(path: str, extension: str, without: str) -> None:
    assert names.extension(path) == extension
    assert names.without_extension(path) == without


@pytest.mark.parametrize(
    ("member", "key", "part"),
    [
        ("a.wav", "a", "wav"),
        ("dir.x/a.left.FLAC", "dir.x/a", "left.flac"),
        ("a", "a", ""),
        ("s/utt 1.json", "s/utt 1", "json"),
    ],
)
def test_tar_key_ends_at_the_first_dot_of_the_base_name(member: str, key: str, part: str) -> None:
    assert names.tar_key(member) == (key, part)


def test_ids() -> None:
    place = Place.of("s3://b/2026", None)
    assert place.id(place.below("s3://b/2026/x/a.wav")) == "s3://b/2026/x/a.wav"
    assert place.id(place.below("s3://b/2026/x.tar"), "k/a.wav") == "s3://b/2026/x.tar::k/a.wav"
    assert place.id(place.below("s3://b/2026-other/a.wav")) == "s3://b/2026-other/a.wav"
    named = Place.of("s3://b/2026", "radio")
    assert named.id(named.below("s3://b/2026/x/a.wav")) == "radio/x/a.wav"
    assert named.id(named.below("s3://c/a.wav")) == "radio/s3://c/a.wav"
    assert Place.of("file:///", None).below("file:///a.wav") == "a.wav"


def test_names_of_any_bytes() -> None:
    assert names.refusal("ü 語\n") is None
    assert names.refusal("a\udcff") == "is not UTF-8; rename it"
    assert names.shown("a\udcff.wav") == "a\\xff.wav"


@pytest.mark.parametrize(
    "name", ["/in/a.flac?X-Amz-Signature=geheimes.flac", "a.flac?Expires=1&token=geheimes", "a%3Fsig%3Dgeheimes.wav"]
)
def test_a_name_with_credentials_is_refused_and_shown_without(name: str) -> None:
    assert names.refusal(name) == "holds credentials, which would stay in its id; rename it"
    assert "geheimes" not in names.shown(name)


@pytest.mark.parametrize("name", ["/in/date=2026-11-30/a.wav", "/in/design=x/a?.wav", "a%3D.wav", "k=v?a=b.flac"])
def test_an_equals_sign_makes_no_credentials(name: str) -> None:
    assert names.refusal(name) is None
    assert names.shown(name) == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("d/talk.M4A", "m4a cannot be read; convert it to FLAC or Opus"),
        ("011c0201.wv1", "wv1 cannot be read; convert it to FLAC or Opus"),
        ("film.mkv", "mkv cannot be read; convert it to FLAC or Opus"),
        ("a.wav.gz", "audio within gz is not opened; decompress it"),
        ("a.b.SPH.XZ", "audio within xz is not opened; decompress it"),
        *(
            (name, None)
            for name in ("a.wav", "a.ts", "a.raw", "a.zip", "list.gz", "a.txt.gz", "wav.gz", "x.tar.gz", "gz")
        ),
    ],
)
def test_what_sounds_and_cannot_be_read_is_told_with_the_remedy(name: str, says: str | None) -> None:
    assert names.unread(name) == says


def test_what_libsndfile_knows_is_not_said_to_be_unreadable() -> None:
    assert not names.UNREADABLE & names.AUDIO
    assert not names.UNREADABLE & {name.lower() for name in soundfile.available_formats()}


@pytest.mark.parametrize(("name", "coding"), [("gsm", "GSM610"), ("vox", "VOX_ADPCM"), ("pcm", "PCM_16")])
def test_audio_without_a_header_is_known_by_no_name(name: str, coding: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, [0.1, -0.1] * 800, 8000, format="RAW", subtype=coding)
    assert name in names.UNREADABLE
    with pytest.raises(RecordingError, match="not an audio file that libsndfile knows"):
        audio.decode(file.getvalue())
