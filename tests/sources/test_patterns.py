from collections.abc import Callable

import pytest

from pipeline.errors import UserError
from pipeline.sources.patterns import expand_braces, find

Fill = Callable[[str, dict[str, bytes]], str]
FILES = [
    "a-000.tar",
    "a-001.tar",
    "a-002.tar",
    "b.tar",
    "x/a-000.tar",
    "x/y/c.tar",
    "x/y/d.wav",
    "x/.hidden.tar",
    "[1]{2,3}*.wav",
]


@pytest.mark.parametrize(
    ("pattern", "expanded"),
    [
        ("a", ["a"]),
        ("{a,b}-{1..2}", ["a-1", "a-2", "b-1", "b-2"]),
        ("x{008..011}", ["x008", "x009", "x010", "x011"]),
        ("x{3..1}", ["x3", "x2", "x1"]),
        ("{a,{b,c}}", ["a", "b", "a", "c"]),
        ("no{braces}", ["no{braces}"]),
    ],
)
def test_expand_braces(pattern: str, expanded: list[str]) -> None:
    assert list(expand_braces(pattern)) == expanded


@pytest.mark.parametrize(
    ("pattern", "names", "root"),
    [
        ("a-{000..001}.tar", ["a-000.tar", "a-001.tar"], ""),
        ("*.tar", ["a-000.tar", "a-001.tar", "a-002.tar", "b.tar"], ""),
        ("a-00?.tar", ["a-000.tar", "a-001.tar", "a-002.tar"], ""),
        ("a-00[!12].tar", ["a-000.tar"], ""),
        ("x/*/*.tar", ["x/y/c.tar"], "/x"),
        ("*/y/d.wav", ["x/y/d.wav"], ""),
        ("**/*.tar", ["a-000.tar", "a-001.tar", "a-002.tar", "b.tar", "x/a-000.tar", "x/y/c.tar"], ""),
        ("x/**/c.tar", ["x/y/c.tar"], "/x"),
        ("**/y/**", ["x/y/c.tar", "x/y/d.wav"], ""),
        ("{a-000,b}.tar", ["a-000.tar", "b.tar"], ""),
        ("[1]{2,3}*.wav", ["[1]{2,3}*.wav"], ""),
    ],
)
def test_patterns(pattern: str, names: list[str], root: str, folder: str, fill: Fill) -> None:
    fill(folder, dict.fromkeys(FILES, b"x"))
    found = find(f"{folder}/{pattern}")
    assert [entry.uri for entry in found.files] == [f"{folder}/{name}" for name in names]
    assert found.root == folder + root
    assert not found.folders


def test_a_pattern_may_match_folders(folder: str, fill: Fill) -> None:
    fill(folder, dict.fromkeys(FILES, b"x"))
    assert find(f"{folder}/?").folders == (f"{folder}/x",)
    assert find(f"{folder}/**").folders == (folder,)
    assert find(folder).folders == (folder,)
    assert find(folder).root == folder


def test_a_file_counts_from_its_folder(folder: str, fill: Fill) -> None:
    fill(folder, {"x/b.tar": b"x"})
    assert find(f"{folder}/x/b.tar").root == f"{folder}/x"


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("*.flac", r"\*.flac: nothing matches this pattern"),
        ("nix", "nix: no such file or folder"),
        ("a-{000..005}.tar", "a-003.tar: no such file or folder"),
        ("nix/**/*.tar", "corpus/nix: no such"),
        ("nix/*/x", r"nix/\*/x: nothing matches"),
    ],
)
def test_nothing_found_names_the_pattern(pattern: str, says: str, folder: str, fill: Fill) -> None:
    fill(folder, dict.fromkeys(FILES, b"x"))
    with pytest.raises(UserError, match=says):
        find(f"{folder}/{pattern}")


def test_a_bucket_cannot_be_guessed(s3_environment: str) -> None:
    with pytest.raises(UserError, match="a bucket's name cannot be a pattern"):
        find("s3://buck*/x.tar")


@pytest.mark.parametrize(
    ("pattern", "manifests"), [("*", False), ("*.json", True), ("m.jsonl", True), ("{m,n}.jsonl", True), ("m*", False)]
)
def test_wildcards_do_not_make_manifests_of_sidecars(pattern: str, manifests: bool, folder: str, fill: Fill) -> None:
    fill(folder, {"m.jsonl": b"x", "n.jsonl": b"x", "a.json": b"x"})
    assert find(f"{folder}/{pattern}").manifests is manifests
