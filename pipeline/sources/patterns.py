"""What a user may write for a source: a name, braces, wildcards; and what is found there, at once."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.sources.names import MANIFESTS
from pipeline.storage import listing
from pipeline.storage.listing import Entry
from pipeline.storage.paths import canonical, join, parent, redact
from pipeline.storage.retry import denied

_MAGIC = re.compile(r"[*?\[]")
_BRACES = re.compile(r"\{([^{}]*(?:,|\.\.)[^{}]*)\}")
_RANGE = re.compile(r"(-?\d{1,18})\.\.(-?\d{1,18})")
MOST_NAMES = 1_000_000
"""Names that braces may stand for; each is looked at by itself."""
MOST_PATTERNS = 1_000
"""The same where wildcards are left: each costs a listing."""
_MOST_BRACES = 50


@dataclass(frozen=True, slots=True)
class Found:
    """What one source stands for."""

    root: str
    """URI of the folder that ids count from: the source itself, or the longest folder part without magic."""
    files: tuple[Entry, ...] = ()
    """Files that are named, directly or by the pattern."""
    folders: tuple[str, ...] = ()
    """Folders to be walked."""
    manifests: bool = True
    """False where a wildcard picked .json files that it does not name: those are sidecars."""


def find(source: str) -> Found:
    """Resolve a source.

    A name that exists is taken as it is, whatever characters it has. Braces name each of their files, so each must
    exist; of `*`, `?`, `[...]` and `**` at least one must be found.

    Raises:
        UserError: nothing is there; names the source.
        StorageFault: storage failed for longer than the retries.
    """
    uri = canonical(source)
    magic = bool(_MAGIC.search(uri) or _BRACES.search(uri))
    root = _plain_folder(uri) if magic else uri
    found = _named(uri, must_exist=not magic)
    if found is not None:
        return found
    parts = [_expanded(each, source) for each in _few(expand_braces(uri), source)]
    return Found(
        root=root,
        files=tuple(entry for part in parts for entry in part.files),
        folders=tuple(folder for part in parts for folder in part.folders),
        manifests=not _MAGIC.search(uri) or uri.lower().endswith(MANIFESTS),
    )


def _few(names: Iterator[str], source: str) -> Iterator[str]:
    """Give names, up to so many.

    Raises:
        UserError: there are more.
    """
    most = MOST_PATTERNS if _MAGIC.search(_BRACES.sub("", source)) else MOST_NAMES
    message = f"{redact(source)}: these braces name more than {most:,} files; write * for a part of the name"
    if source.count("{") > _MOST_BRACES:
        raise UserError(message)
    for number, name in enumerate(names):
        if number == most:
            raise UserError(message)
        yield name


def expand_braces(pattern: str) -> Iterator[str]:
    """Yield what braces stand for: `{a,b}` each part, `{000..099}` each number with leading zeros; nested too."""
    match = _BRACES.search(pattern)
    if not match:
        yield pattern
        return
    for choice in _choices(match.group(1)):
        yield from expand_braces(pattern[: match.start()] + choice + pattern[match.end() :])


def _choices(inside: str) -> Iterable[str]:
    numbers = _RANGE.fullmatch(inside)
    if not numbers:
        return inside.split(",")
    first, last = numbers.groups()
    width = max(len(first), len(last)) if first.startswith("0") or last.startswith("0") else 0
    step = 1 if int(first) <= int(last) else -1
    return (str(number).zfill(width) for number in range(int(first), int(last) + step, step))


def _expanded(uri: str, source: str) -> Found:
    """Resolve one pattern of which the braces are gone."""
    if not _MAGIC.search(uri):
        found = _named(uri, must_exist=True)
        assert found is not None
        return found
    base = _plain_folder(uri)
    segments = uri.removeprefix(base).strip("/").split("/")
    files, folders = _deep(base, segments) if "**" in segments else _level(base, segments)
    if not files and not folders:
        raise UserError(f"{redact(source)}: nothing matches this pattern")
    return Found(base, tuple(files), tuple(folders))


def _named(uri: str, *, must_exist: bool) -> Found | None:
    try:
        return Found(parent(uri), files=(listing.stat(uri),))
    except IsADirectoryError:
        return Found(uri, folders=(uri,))
    except (FileNotFoundError, NotADirectoryError) as error:
        if must_exist:
            raise UserError(f"{redact(uri)}: no such file or folder") from error
        return None
    except PermissionError as error:
        raise denied(uri, "looking", "s3:ListBucket and s3:GetObject") from error


def _plain_folder(uri: str) -> str:
    """Give the longest leading folder without magic."""
    starts = [match.start() for match in (_MAGIC.search(uri), _BRACES.search(uri)) if match]
    folder = uri[: min(starts)].rpartition("/")[0]
    if folder.endswith(":/"):
        raise UserError(f"{redact(uri)}: a bucket's name cannot be a pattern")
    return folder + "/" if folder.endswith("/") else folder


def _level(base: str, segments: Sequence[str]) -> tuple[list[Entry], list[str]]:
    """Match one segment after the other, listing only folders that the pattern leads into."""
    folders = [base]
    files: list[Entry] = []
    for depth, segment in enumerate(segments):
        match = _segment(segment)
        last = depth == len(segments) - 1
        inside: list[str] = []
        for folder in folders:
            if not _MAGIC.search(segment) and not last:
                inside.append(join(folder, segment))
                continue
            sub, here = listing.children(folder)
            inside += [each for each in sub if match.fullmatch(_base(each))]
            files += [entry for entry in here if last and match.fullmatch(_base(entry.uri))]
        folders = inside
    return files, folders


def _deep(base: str, segments: Sequence[str]) -> tuple[list[Entry], list[str]]:
    """Match `**`, any number of folders, by walking all below."""
    if list(segments) == ["**"]:
        return [], [base]
    parts = ["(?:[^/]+/)*" if segment == "**" else _regex(segment) + "/" for segment in segments]
    if segments[-1] == "**":
        parts[-1] = ".*"
    match = _compiled("".join(parts).removesuffix("/"), "/".join(segments))
    start = len(base.rstrip("/")) + 1
    return [entry for entry in listing.walk(base) if match.fullmatch(entry.uri[start:])], []


@functools.cache
def _segment(pattern: str) -> re.Pattern[str]:
    return _compiled(_regex(pattern), pattern)


def _compiled(regex: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(regex, re.DOTALL)
    except re.error as error:
        raise UserError(f"{redact(pattern)}: no pattern of names ({error.msg}); write as in [a-z] or [!0-9]") from error


def _regex(pattern: str) -> str:
    """Translate wildcards; none of them matches a slash."""
    pieces = re.split(r"(\*+|\?|\[[^\]]+\])", pattern)
    return "".join(_wildcard(piece) if number % 2 else re.escape(piece) for number, piece in enumerate(pieces))


def _wildcard(piece: str) -> str:
    if piece.startswith("*"):
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    negated = piece[1] in "!^"
    # A hyphen is a range's; two would be another operator in the Python of some day.
    inside = re.sub("-+", "-", re.escape(piece[1 + negated : -1]).replace(r"\-", "-"))
    return f"[^{inside}/]" if negated else f"[{inside}]"


def _base(uri: str) -> str:
    return uri.rpartition("/")[2]
