"""The curve: a row a step, cut back to the checkpoint, drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.training.curve import Curve, Row, read


def row(step: int, score: float | None = None) -> Row:
    return Row(step=step, epoch=step / 10, learning_rate=1e-3, loss=1 / step, gradient=0.5, score=score)


def test_rows_are_written_at_once_and_read_back(tmp_path: Path) -> None:
    curve = Curve(tmp_path, metric="accuracy", steps=0)
    for step in range(1, 5):
        curve.add(row(step, score=0.25 if step == 2 else None))
        assert read(tmp_path / "curve.csv") == curve.rows
    header = (tmp_path / "curve.csv").read_text().splitlines()[0]
    assert header == "step,epoch,learning_rate,loss,gradient,validation_loss,accuracy"


@pytest.mark.parametrize("cut", ["8,0.8,0.0", "8,0.8,0.001,0.125,0.5,,1e", "8,0.8,0.001,0.125,0.5,,0.9"])
def test_what_lies_beyond_the_checkpoint_is_dropped_and_a_cut_line_too(tmp_path: Path, cut: str) -> None:
    curve = Curve(tmp_path, metric="accuracy", steps=0)
    for step in range(1, 8):
        curve.add(row(step))
    with (tmp_path / "curve.csv").open("a") as file:
        file.write(cut)
    assert read(tmp_path / "curve.csv") == curve.rows
    again = Curve(tmp_path, metric="accuracy", steps=4)
    assert [each.step for each in again.rows] == [1, 2, 3, 4]
    assert read(tmp_path / "curve.csv") == again.rows


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    curve = Curve(tmp_path, metric="accuracy", steps=0)
    for step in range(1, 200):
        curve.add(row(step, score=0.5 if step % 50 == 0 else None))
    curve.draw()
    assert (tmp_path / "curve.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
