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
