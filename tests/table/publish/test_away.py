"""Published rows whose unit's file is away: they stay, and nothing older comes back beside them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.plan.forgotten import remember
from pipeline.table.publish import manifest, publish
from pipeline.table.publish.checking import BY_FOOTER, WHOLE, contradictions
from pipeline.table.vacuum import vacuum
from tests.table.conftest import Made
from tests.table.publish.sets import TASK, folder, holds, shown


def published_then_away(made: Made, *names: str, **options: Any) -> None:
    """Publish recordings, and take the file of the first unit away, as a user does with a damaged one."""
    made.plan(*names, seconds=30.0)
    made.commit()
    holds(made, **options)
    made.file(0).unlink()


@pytest.mark.parametrize("column", [None, "id"])
def test_published_rows_stay_while_the_file_of_their_unit_is_away(made: Made, column: str | None) -> None:
    published_then_away(made, "a", "b", "c", "d")
    done = publish(made.output, TASK, partition_by=column)
    assert (done.away, done.lost, done.manifest.partition_by) == (1, 0, column)
    vacuum(made.output, min_age=0.0, dry_run=False)
    assert set(shown(made.output)) == {"c/a", "c/b", "c/c", "c/d"}
    assert publish(made.output, TASK).new_files == 0
    made.commit(0, text="another text than before")
    done = holds(made)
    assert (done.away, done.new_units) == (0, 0)
    assert shown(made.output)["c/a"][1] == "another text than before"


def test_newer_rows_take_the_place_of_published_ones_whose_unit_is_away(made: Made) -> None:
    published_then_away(made, "a", "b")
    made.plan("b", version="2-2")
    made.commit(1, text="new")
    assert publish(made.output, TASK).away == 1
    old, new = (unit.name for unit in made.units)
    assert shown(made.output) == {"c/a": ("1-1", "one two", old), "c/b": ("2-2", "new", new)}
    assert publish(made.output, TASK).new_files == 0


def test_no_older_row_comes_back_beside_a_published_one_whose_unit_is_away(made: Made) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    made.plan("b", version="2-2")
    made.commit(1, text="new")
    before = holds(made).manifest.files
    made.file(1).unlink()
    assert publish(made.output, TASK).away == 1
    assert shown(made.output)["c/b"][:2] == ("2-2", "new")
    assert manifest.newest(made.output, TASK).files == before


def test_what_is_forgotten_goes_though_the_file_of_its_unit_is_away(made: Made) -> None:
    published_then_away(made, "a", "b", "c")
    remember(made.output, ["c/a"])
    assert publish(made.output, TASK).away == 1
    assert set(shown(made.output)) == {"c/b", "c/c"}


def test_a_unit_that_is_gone_from_both_is_told(made: Made) -> None:
    published_then_away(made, "a", "b", "c", "d", file_bytes=1)
    (first,) = [place for place in manifest.newest(made.output, TASK).units[made.units[0].name].files]
    (folder(made) / manifest.newest(made.output, TASK).files[first].path).unlink()
    done = publish(made.output, TASK, file_bytes=1)
    assert (done.away, done.lost) == (0, 1)
    assert set(shown(made.output)) == {"c/c", "c/d"}
    made.commit(0)
    assert holds(made).lost == 0


def test_what_another_table_has_published_is_refused(made: Made, tmp_path: Path) -> None:
    published_then_away(made, "a", "b")
    (tmp_path / "other").mkdir()
    other = Made(str(tmp_path / "other"))
    other.plan("x")
    other.commit()
    shutil.copytree(Path(made.output, "_published"), tmp_path / "other/_published")
    with pytest.raises(
        UserError, match=f"1 unit of what is published, such as {made.units[0].name}, the plan does not"
    ):
        publish(other.output, TASK)
    assert manifest.numbers(other.output, TASK) == [1]
    for each in (WHOLE, BY_FOOTER):
        ((file, told),) = contradictions(other.output, (), each)
        assert file == str(tmp_path / "other/_published" / TASK)
        assert told.endswith("Restore the plan, or move this folder away and publish again")
