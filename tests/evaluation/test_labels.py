"""How labels are shown."""

from __future__ import annotations

from pipeline.evaluation.labels import calibration_cells, calibration_json, hits_json, labels_sheet
from pipeline.scoring.calibration import calibration
from pipeline.scoring.hits import Hits


def test_the_lowest_come_first() -> None:
    sheet = labels_sheet([Hits("good", 9, 1, 1), Hits("bad", 1, 3, 1)], "recordings")
    assert sheet.header == ("label", "precision", "recall", "F1", "recordings")
    assert sheet.rows == (("bad", "25.0 %", "50.0 %", "33.3 %", "2"), ("good", "90.0 %", "90.0 %", "90.0 %", "10"))


def test_programs_get_counts_and_ratios() -> None:
    assert hits_json(Hits("a", 1, 1, 3)) == {
        "label": "a", "hits": 1, "false_alarms": 1, "misses": 3,
        "support": 4, "precision": 0.5, "recall": 0.25, "f1": 1 / 3,
    }  # fmt: skip


def test_the_calibration_error_says_how_it_was_counted() -> None:
    found = calibration([0.5, 0.5], [True, True], bins=4)
    assert calibration_cells(found) == ("expected calibration error, 4 bins of equal width", "50.0 %")
    assert calibration_json(found)["expected_error"] == 0.5
    assert calibration_json(found)["bins"][1] == {
        "low": 0.25, "high": 0.5, "count": 2, "mean_score": 0.5, "share_right": 1.0,
    }  # fmt: skip
