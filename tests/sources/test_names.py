import pytest

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
    assert names.is_text("ü 語\n")
    assert not names.is_text("a\udcff")
    assert names.shown("a\udcff.wav") == "a\\xff.wav"
