"""A few bytes that claim to be much: what they may cost is bounded, and said."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import os
import resource
import struct
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile as sf
import yaml

from pipeline import config, documents, options, sources
from pipeline.corpus import Recording, Unit
from pipeline.errors import UserError
from pipeline.featurising import made_of
from pipeline.isolation import Isolated, Limits
from pipeline.models import weights
from pipeline.plan.spans import cut
from pipeline.sources import Problem, compression, patterns, reading
from pipeline.sources.patterns import find


def planned(source: Path) -> tuple[list[Recording], list[Problem]]:
    items = list(sources.entries([str(source)], corpus="c"))
    problems = [item for item in items if isinstance(item, Problem)]
    return [row for item in items if isinstance(item, tuple) for each in item for row in cut(each)], problems


def flac(samples: int = 16_000) -> bytearray:
    file = io.BytesIO()
    sf.write(file, np.zeros(samples), 8_000, format="FLAC")
    return bytearray(file.getvalue())


def test_a_small_flac_that_claims_weeks_is_one_row(tmp_path: Path) -> None:
    data = flac()
    packed = int.from_bytes(data[18:26], "big")
    data[18:26] = (packed >> 36 << 36 | 8191 * 50_000).to_bytes(8, "big")
    (tmp_path / "long.flac").write_bytes(data + bytes(50_000 - len(data)))
    (row,), problems = planned(tmp_path)
    assert problems == []
    assert row.seconds > 14 * 3600
    assert row.spans == 1


def test_a_small_flac_that_really_is_half_an_hour_costs_its_row_no_more_memory_than_it_may_have(tmp_path: Path) -> None:
    for name, samples in (("a.flac", 16_000), ("b.flac", 8_000 * 3600), ("c.flac", 16_000)):
        sf.write(tmp_path / name, np.zeros(samples, np.int16), 16_000)
    assert (tmp_path / "b.flac").stat().st_size < 100_000
    rows, _ = planned(tmp_path)
    limits = Limits(seconds=20.0, num_bytes=50_000_000)
    with Isolated(limits) as decode:
        made_of(sources.read(Unit("u", (rows[0],))), 0, "float64", decode)
        before = decode.peak_bytes
        made = made_of(sources.read(Unit("u", tuple(rows))), 0, "float64", decode)
        assert 0 < decode.peak_bytes - before < limits.num_bytes
    assert [length > 0 for length in made.lengths] == [True, False, True]
    assert {index: (error.stage, error.type) for index, error in made.errors.items()} == {1: ("decode", "memory")}
    assert "takes more than 0.05 GB of memory to decode; --recording-memory allows it more" in made.errors[1].message


def test_a_manifest_that_claims_years_is_one_row_as_long_as_its_audio(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(flac())
    lines = [{"path": "a.flac", "id": "years", "duration": 1e9}, {"path": "gone.flac", "id": "gone", "duration": 1e9}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    rows, _ = planned(tmp_path / "m.jsonl")
    assert {row.id: row.seconds for row in rows} == {"years": 2.0, "gone": 0.0}


def test_an_estimate_of_opus_never_cuts(tmp_path: Path) -> None:
    file = io.BytesIO()
    sf.write(file, np.zeros(16_000), 16_000, format="OGG", subtype="OPUS")
    data = bytearray(file.getvalue())
    last = data.rfind(b"OggS")
    struct.pack_into("<q", data, last + 6, 2**50)
    (tmp_path / "a.opus").write_bytes(data)
    (row,), _ = planned(tmp_path)
    assert row.spans == 1
    assert row.seconds < 10


@pytest.mark.parametrize("kind", ["bz2", "xz", "zst"])
def test_a_tar_that_expands_without_end_is_left_where_it_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(compression, "FREE", 1 << 20)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in (("a.flac", bytes(flac())), ("b.wav", bytes(60 << 20)), ("c.flac", bytes(flac()))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    packed = {
        "bz2": lambda data: bz2.compress(data, 9),
        "xz": lambda data: lzma.compress(data, preset=1),
        "zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    }[kind](file.getvalue())
    assert len(packed) < 25_000
    (tmp_path / f"x.tar.{kind}").write_bytes(packed)
    rows, problems = planned(tmp_path)
    assert [row.key for row in rows] == ["a", "b"]
    assert [problem.message.partition("(")[2] for problem in problems] == [
        "it expands more than 2,000 times); what comes after is not planned"
    ]


def test_a_member_too_large_to_be_held_is_an_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in (("a.flac", bytes(flac())), ("b.wav", bytes(9_000)), ("c.flac", bytes(flac()))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    (tmp_path / "x.tar.gz").write_bytes(file.getvalue())
    monkeypatch.setattr(reading, "MOST_MEMBER", 8_999)
    rows, _ = planned(tmp_path)
    encoded = sources.read(Unit("u", tuple(rows)))
    assert [place is not None for place in encoded.slices] == [True, False, True]
    assert {index: error.type for index, error in encoded.errors.items()} == {1: "too_large"}


def test_json_nested_a_hundred_thousand_times_is_no_json() -> None:
    for text in (
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 101 + "1" + "}" * 101,
        b"[" * 200 + b"]" * 200,
    ):
        with pytest.raises(ValueError, match="nested more than 100 levels deep"):
            documents.parse(text)
    assert documents.parse("[" * 100 + "]" * 100)
    assert len(documents.parse("[" + ",".join(["[1]"] * 10_000) + "]")) == 10_000


def test_yaml_of_a_few_lines_that_stands_for_gigabytes_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
    assert yaml.safe_load("\n".join(lines[:3]))
    for text in ("\n".join(lines), "window: " + "[" * 3_000, "window: 10s # " + "x" * 200_000):
        (tmp_path / "run.yaml").write_text(text)
        with pytest.raises(UserError, match="run.yaml: cannot be read as YAML"):
            options.from_yaml(config.RunConfig, str(tmp_path / "run.yaml"))


def test_braces_that_name_a_hundred_billion_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"")
    monkeypatch.setattr(patterns, "MOST_NAMES", 500)
    monkeypatch.setattr(patterns, "MOST_PATTERNS", 50)
    few = {"a{0..99999999999}*": "nothing", "a" + "{,}" * 30: "than 500", "a" + "{,}" * 9 + "*": "than 50"}
    for pattern, says in few.items():
        with pytest.raises(UserError, match=says):
            find(f"{tmp_path}/{pattern}")


@pytest.mark.parametrize("size", [2**40, 2**63, 100_000_001])
def test_a_header_of_weights_of_gigabytes_is_refused_unread(tmp_path: Path, size: int) -> None:
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", size) + b"{}")
        os.truncate(file.fileno(), 200 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="not a whole safetensors file"):
        weights.names(tmp_path, where="w")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
