"""What validation tells the score about the examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.training import metrics
from tests.training.conftest import Train


def test_parts_of_one_recording_have_its_number(
    tones: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = [
        {"audio_filepath": str(tones.parent / f"{number:02}.wav"), "offset": start, "duration": 0.4, "speaker": number}
        for number in range(6)
        for start in (0.0, 0.4)
    ]
    (tmp_path / "halves.jsonl").write_text("".join(json.dumps(line) + "\n" for line in halves))
    seen: list[dict[int, set[int]]] = []

    def watched(embeddings: Any, speakers: Any, recordings: Any) -> float:
        assert len(embeddings) == 12
        seen.append({who: set(recordings[speakers == who].tolist()) for who in speakers.tolist()})
        return 0.5

    monkeypatch.setattr(metrics, "equal_error_rate_of_pairs", watched)
    given: dict[str, Any] = {"longest": "0.5s", "segment_from": "0.3s", "validation_segment": "0.5s", "epochs": 1}
    train(tmp_path / "out", task="embed", validate=str(tmp_path / "halves.jsonl"), **given)
    (found,) = seen
    assert [len(each) for each in found.values()] == [1] * 6
    assert len(set.union(*found.values())) == 6
