"""Which rows of a published unit are hidden: manifests of all releases tell it, or are not believed."""

from __future__ import annotations

from pipeline.table.publish import read_published
from tests.table.conftest import Made
from tests.table.publish.sets import as_the_release_before, folder, holds


def other_row_hidden(made: Made) -> None:
    """Publish a unit whose row of `a` is hidden, then hide that of `b` instead: as many as before."""
    made.plan("a", "b", seconds=30.0)
    made.commit()
    made.plan("a", version="2-2")
    made.commit(1)
    before = holds(made, file_bytes=1).manifest
    (newer,) = before.units[made.units[1].name].files
    (folder(made) / before.files[newer].path).unlink()
    made.file(1).unlink()
    made.plan("b", version="2-2")
    made.commit(2)


def test_a_unit_of_which_another_row_is_hidden_now_is_rewritten(made: Made) -> None:
    other_row_hidden(made)
    assert holds(made).replaced_files == 2
    assert holds(made).new_files == 0


def test_a_manifest_that_does_not_tell_which_rows_are_hidden_is_read_and_not_believed(made: Made) -> None:
    other_row_hidden(made)
    as_the_release_before(folder(made) / "_manifests/000001.manifest")
    assert len(read_published(made.output).files) == 2
    assert holds(made).replaced_files == 2
    assert holds(made).new_files == 0


def test_a_manifest_of_the_release_before_holds_where_nothing_is_hidden(made: Made) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    holds(made)
    as_the_release_before(folder(made) / "_manifests/000001.manifest")
    assert holds(made).new_files == 0
