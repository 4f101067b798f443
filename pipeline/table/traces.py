"""What a table's folder tells of recordings besides its rows: manifests of runs, scores."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from pipeline import documents
from pipeline.storage.listing import list_names
from pipeline.storage.paths import join
from pipeline.storage.put import delete, put
from pipeline.storage.read import read_bytes
from pipeline.storage.retry import denied
from pipeline.table import layout

REPLACED = "(forgotten)"
"""What stands for a text that told of a recording."""

TEXTS = (".json", ".jsonl", ".md", ".csv", ".txt")
"""How the names of files end that may name a recording."""
_TOLD = ("examples", "problems", "faults", "stopped", "damaged")
"""Fields of a manifest with sentences that may name a recording."""


class Names:
    """Ids, and sources, by which a text may tell of recordings; each is found as a whole, not inside another."""

    def __init__(self, names: Collection[str]) -> None:
        spelled = {*names, *(json.dumps(each)[1:-1] for each in names)}
        either = "|".join(re.escape(each) for each in sorted(spelled, key=len, reverse=True))
        self._pattern = re.compile(rf"(?<![\w/.-])(?:{either})(?![\w/-]|\.\w)") if names else None

    def told_in(self, text: str) -> bool:
        """Whether a text names one."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def cleaned(self, value: Any) -> Any:
        """A JSON value in which every text that names one is replaced."""
        if isinstance(value, str):
            return REPLACED if self.told_in(value) else value
        if isinstance(value, dict):
            return {key: self.cleaned(each) for key, each in value.items()}
        return [self.cleaned(each) for each in value] if isinstance(value, list) else value


def told_by_runs(output: str, names: Names) -> list[str]:
    """Manifests of runs with a sentence that names one; that a run was asked for one as a source stays."""
    folder = layout.runs_folder(output)
    files = (join(folder, name) for name in list_names(folder) if layout.run_of(name))
    return [uri for uri in files if _is_to_clean(uri, names)]


def told_by_scores(output: str, names: Names) -> list[str]:
    """Folders of scores in which a text names one."""
    top = layout.scores_folder(output)
    folders = [join(top, name.rstrip("/")) for name in list_names(top) if name.endswith("/")]
    return [folder for folder in (top, *folders) if any(_tells(uri, names) for uri in _files(folder, TEXTS))]


def clean_runs(uris: Sequence[str], names: Names) -> None:
    """Put manifests anew without the sentences that name one; one that cannot be read is removed."""
    for uri in uris:
        try:
            record = _record(uri)
        except FileNotFoundError:
            continue
        if record is None:
            delete(uri)
        else:
            put(uri, (json.dumps(_cleaned(record, names), indent=2, ensure_ascii=False) + "\n").encode())


def remove_scores(folders: Sequence[str]) -> None:
    """Remove the files of these folders; evaluating again makes them without the recordings."""
    for folder in folders:
        for uri in _files(folder, ("",)):
            delete(uri)


def _is_to_clean(uri: str, names: Names) -> bool:
    if not _tells(uri, names):
        return False
    try:
        record = _record(uri)
    except FileNotFoundError:
        return False
    return record is None or _cleaned(record, names) != record


def _record(uri: str) -> dict[str, Any] | None:
    """A manifest; None where it is none."""
    try:
        record = documents.parse(read_bytes(uri))
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _cleaned(record: dict[str, Any], names: Names) -> dict[str, Any]:
    return record | {name: names.cleaned(record[name]) for name in _TOLD if name in record}


def _files(folder: str, endings: tuple[str, ...]) -> Iterator[str]:
    for name in list_names(folder):
        if not name.endswith("/") and name.endswith(endings):
            yield join(folder, name)


def _tells(uri: str, names: Names) -> bool:
    try:
        return names.told_in(read_bytes(uri).decode(errors="replace"))
    except FileNotFoundError:
        return False
    except PermissionError as error:
        raise denied(uri, "reading", "s3:GetObject") from error
