"""From real files to a plan: what a first, a second and a dry run of `extend` do."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.errors import UserError
from pipeline.plan import extend, format_report, load_unit, units


def write_wav(file: Path, *, seconds: float, rate: int = 16_000) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, np.zeros(int(seconds * rate), dtype=np.float32), rate)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "talks"
    write_wav(folder / "ann/one.wav", seconds=2.0)
    write_wav(folder / "ann/two#2.flac", seconds=3.0, rate=8_000)
    write_wav(folder / "bob/one.wav", seconds=0.5)
    return folder


def planned(output: str) -> list[str]:
    return [each.id for ref in units(output) for each in load_unit(output, ref).recordings]


def test_first_and_second_run(corpus: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    dry = extend([str(corpus)], output, corpus="talks", dry_run=True)
    assert list(Path(output).iterdir()) == []
    report = extend([str(corpus)], output, corpus="talks")
    assert (dry.new, dry.seconds, dry.formats) == (report.new, report.seconds, report.formats)
    assert planned(output) == ["talks/ann/one.wav", "talks/ann/two#2.flac", "talks/bob/one.wav"]
    assert (report.new, report.seconds, report.units) == (3, 5.5, 1)
    assert {name: tally.seconds for name, tally in report.sample_rates.items()} == {"8,000 Hz": 3.0, "16,000 Hz": 2.5}
    assert {name: tally.recordings for name, tally in report.seconds_from.items()} == {"header": 3}

    write_wav(corpus / "bob/one.wav", seconds=0.75)
    (corpus / "ann/one.wav").unlink()
    write_wav(corpus / "cid/new.wav", seconds=1.0)
    report = extend([f"file://{corpus}"], output, corpus="talks")
    assert (report.new, report.changed, report.unchanged, report.vanished) == (1, 1, 1, 1)
    assert planned(output)[3:] == ["talks/bob/one.wav", "talks/cid/new.wav"]
    assert extend([str(corpus)], output, corpus="talks").planned == 0


def test_a_touched_file_is_changed_and_a_renamed_mount_is_not(corpus: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    extend([str(corpus)], output, corpus="talks")
    moved = tmp_path / "mounted elsewhere"
    corpus.rename(moved)
    assert extend([str(moved)], output, corpus="talks").unchanged == 3
    os.utime(moved / "ann/one.wav", ns=(1, 1))
    report = extend([str(moved)], output, corpus="talks")
    assert (report.changed, report.unchanged) == (1, 2)
    assert report.moves.pairs == ((f"file://{corpus}/", f"file://{moved}/"),)


def test_another_corpus_of_the_same_name_is_refused(corpus: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    extend([str(corpus)], output, corpus="talks")
    other = tmp_path / "other"
    corpus.rename(other)
    for file in other.rglob("*.*"):
        os.utime(file, ns=(1, 1))
    with pytest.raises(UserError, match=r"talks/ann/one\.wav was planned from file://.*talks/ann/one\.wav"):
        extend([str(other)], output, corpus="talks")


def test_one_file_named_twice_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(file://.+): the id \1 is listed twice\. Name each source once"):
        extend([str(corpus), str(corpus)], str(tmp_path / "out"))


def test_nothing_found_plans_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no audio found"):
        extend([str(tmp_path / "empty")], str(tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []


def test_problems_of_a_source_stand_in_the_report(corpus: Path, tmp_path: Path) -> None:
    (corpus / "zzz.tar").write_bytes(b"\1" * 700)
    report = extend([str(corpus)], str(tmp_path / "out"))
    assert (report.new, report.num_problems) == (3, 1)
    assert f"file://{corpus}/zzz.tar: " in format_report(report)
