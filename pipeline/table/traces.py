"""What a table's folder tells of recordings besides its rows: manifests of runs, scores."""

from __future__ import annotations

import json
import re
from collections import defaultdict
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

_PIECE = re.compile(r"(?<![\w/.-])(?:[\w/.-]+|[^\w/.-])")
"""What a name that a text tells of may begin with: a run of what ids are made of, or one other character."""
_END = re.compile(r"(?![\w/-]|\.\w)")
"""Where it may end."""
_STOP = re.compile(r"\.(?!\w)")
"""A full stop that may be a sentence's."""


def _first_piece(name: str) -> str:
    match = _PIECE.match(name)
    assert match is not None
    return match[0]


class Names:
    """Ids, and sources, by which a text may tell of recordings; each is found as a whole, not inside another.

    What a text is cut into is looked up: one pattern of all names would take as long as there are names, for each text.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = {*names, *(json.dumps(each)[1:-1] for each in names)} - {""}
        lengths: defaultdict[str, set[int]] = defaultdict(set)
        for each in self._names:
            lengths[_first_piece(each)].add(len(each))
        self._lengths = dict(lengths)
        """First piece of a name -> how long the names are that begin with it."""
        self._longest = max(map(len, self._lengths), default=0)

    def told_in(self, text: str) -> bool:
        """Whether a text names one."""
        if not self._names:
            return False
        return any(self._is_named(text, piece.start(), piece.end()) for piece in _PIECE.finditer(text))

    def _is_named(self, text: str, start: int, stop: int) -> bool:
        """Whether a name stands at the start of a piece: all of it, more than it, or up to a full stop in it."""
        ends = [stop] if stop - start <= self._longest else []
        stops = _STOP.finditer(text, start, min(stop, start + self._longest + 1))
        ends += [each.start() for each in stops if each.start() > start]
        return any(
            text[start : start + length] in self._names and _END.match(text, start + length)
            for end in ends
            for length in self._lengths.get(text[start:end], ())
        )

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
