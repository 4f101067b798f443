"""Which lines of our own parsers the inputs of the fuzzer reach.

    python tests/fuzz/reach.py [--cases 300] [--seed 1]

Runs the doors of the parsers in this process, and prints the share of lines with code of each module that ran, with
those that did not. Lines of `def`, `class` and imports run before, and are not counted; nor are handlers of a file that
is not there, may not be read or has gigabytes: no input leads there. Fails where it is less than 90 % of a module.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import sys
import tempfile
import threading
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz.door import case  # noqa: E402
from tests.fuzz.run import doors  # noqa: E402
from tests.fuzz.session import memory_folder  # noqa: E402

OURS = {
    "pipeline.documents": (),
    "pipeline.options": ("options",),
    "pipeline.quantities": ("options",),
    "pipeline.storage.lines": ("trials", "references"),
    "pipeline.storage.pages": ("unit", "plan"),
    "pipeline.storage.parquet": ("unit", "plan", "totals", "published"),
    "pipeline.storage.statistics": ("unit", "published"),
    "pipeline.sources.tarformat": ("tar", "compressed-tar"),
    "pipeline.sources.tar": ("tar", "compressed-tar"),
    "pipeline.sources.compression": ("compressed-tar",),
    "pipeline.sources.durations": ("audio-headers",),
    "pipeline.sources.headers": ("audio-headers",),
    "pipeline.sources.mpeg": ("audio-headers",),
    "pipeline.sources.ogg": ("audio-headers",),
    "pipeline.sources.jsonl": ("manifest",),
    "pipeline.sources.labels": ("sidecars",),
    "pipeline.sources.names": ("folder",),
    "pipeline.sources.folder": ("folder", "names"),
    "pipeline.sources.reading": ("compressed-tar",),
    "pipeline.sources.patterns": ("names",),
    "pipeline.audio.reader": ("wav", "flac", "ogg", "mp3", "aiff", "other-audio"),
    "pipeline.audio.truncation": ("wav", "flac", "ogg", "mp3", "aiff", "other-audio"),
    "pipeline.audio.joined": ("ogg", "mp3"),
    "pipeline.audio.flac": ("flac",),
    "pipeline.audio.heads": ("wav", "aiff", "mp3"),
    "pipeline.audio.riff": ("wav",),
    "pipeline.audio.virtual": ("wav", "aiff"),
    "pipeline.sources.sidecars": ("sidecars",),
    "pipeline.models.checkpoint": ("config", "weights-index"),
    "pipeline.models.wav2vec2_bert.config": ("config",),
    "pipeline.models.wav2vec2_bert.checks": ("config",),
    "pipeline.models.wav2vec2_bert.kinds": ("config",),
    "pipeline.tasks.labels": ("config",),
    "pipeline.text.tokenizer": ("vocabulary",),
    "pipeline.audio.extractor": ("feature-settings",),
    "pipeline.plan.generations": ("plan",),
    "pipeline.plan.columns": ("plan",),
    "pipeline.plan.values": ("plan",),
    "pipeline.table.unit_file": ("unit",),
    "pipeline.table.check": ("unit",),
    "pipeline.table.task": ("task-record",),
    "pipeline.table.footers": ("unit",),
    "pipeline.table.schema": ("task-record", "unit", "published"),
    "pipeline.table.columns": ("sidecars",),
    "pipeline.table.runs": ("run-manifest",),
    "pipeline.table.lease": ("lease",),
    "pipeline.table.totals": ("totals",),
    "pipeline.table.publish.manifest": ("published",),
    "pipeline.table.publish.rows": ("unit", "published"),
    "pipeline.plan.forgotten": ("forgotten",),
    "pipeline.models.weights": ("safetensors", "weights-index"),
    "pipeline.plan.success": ("success",),
    "pipeline.evaluation.triallist": ("trials",),
    "pipeline.evaluation.manifest": ("references",),
}
"""Modules that read foreign bytes -> the doors that lead to them."""

READS = {
    "pipeline.options": ("from_yaml", "convert", "make", "_truth", "_text", "_loaded", "_first_line"),
    "pipeline.quantities": ("_split", "_finite", "parse_seconds", "parse_bytes", "parse_share", "parse_count",
                            "parse_whole", "parse_list"),
    "pipeline.audio.reader": ("read", "truncation", "_ogg_truncation", "_goes_on", "_open", "_check_limits", "_behind",
                              "_sentence"),
    "pipeline.audio.flac": ("has_start", "has_surplus", "_first_sample", "_is_possible", "_crc8"),
    "pipeline.audio.riff": ("read", "tag", "byte_rate", "block", "closing_head", "has_surplus", "_may_be_audio",
                            "_is_padding", "_begins_chunk", "_short_head", "_chunk"),
    "pipeline.audio.virtual": ("readinto", "seek", "tell", "show_instead", "size", "peek"),
    "pipeline.sources.folder": ("named", "with_sidecars", "_unchanged", "_plan", "_content", "_add", "_worth"),
    "pipeline.sources.reading": ("_stream", "_too_large", "_wanted", "_chunks", "_copy_member"),
    "pipeline.models.checkpoint": ("read_config", "weight_files", "_shards", "_plain", "_read_object"),
    "pipeline.tasks.labels": ("load",),
    "pipeline.text.tokenizer": ("load", "spell", "_settings", "_vocab", "_added", "_check_ids", "_tokens",
                                "_check_blank", "_token", "_read"),
    "pipeline.audio.extractor": ("load", "_declared", "_check"),
    "pipeline.table.task": ("read_record", "_known", "_read", "decode_record", "_text", "contradiction"),
    "pipeline.table.schema": ("unpacked", "look_at_names", "_of_a_table", "difference", "lacking"),
    "pipeline.table.columns": ("cast_metadata", "extra_columns", "_object", "_short", "_string", "cast", "_whole",
                               "_double", "_bool"),
    "pipeline.table.runs": ("read_run", "newest_run", "newest_runs", "recent_faults", "_faults"),
    "pipeline.table.lease": ("signs", "_read", "first"),
    "pipeline.table.totals": ("read_known", "totals", "_count"),
    "pipeline.table.publish.manifest": ("numbers", "newest", "newest_files", "read", "_read", "decode",
                                        "decode_files", "_files", "_file", "_text", "_value"),
    "pipeline.table.publish.rows": ("of_units", "read", "of_file", "groups", "groups_of", "reason", "fitted"),
    "pipeline.plan.forgotten": ("mask", "_of_row", "forgotten", "_newest", "_read"),
    "pipeline.models.weights": ("fill", "names", "read", "_places", "_read", "_damaged", "_check_names", "_list",
                                "_check_tensor"),
    "pipeline.plan.success": ("read_success", "_whole", "_text"),
    "pipeline.plan.generations": ("scope", "tasks", "row_group", "_row_group", "row_groups", "units", "open_generation",
                                  "_opened", "_open", "unit_runs", "_reading", "damaged"),
    "pipeline.plan.columns": ("to_recordings",),
}  # fmt: skip
"""Of modules that do other things too: the functions that read."""


GOAL = 0.9
"""Share of the lines of each module."""
ELSEWHERE = {"FileNotFoundError", "NotADirectoryError", "IsADirectoryError", "PermissionError", "TooLarge"}
"""Errors that say something of a file's place or of gigabytes, whatever its bytes are."""


def code_lines(module: str) -> dict[str, set[int]]:
    """Lines with code of each function of a module that bytes may lead to, by the function's name."""
    file = importlib.import_module(module).__file__
    assert file is not None
    text = Path(file).read_text()
    beside, found = _handlers(ast.parse(text)), dict[str, set[int]]()
    for code in _codes(compile(text, file, "exec")):
        lines = {line for _, _, line in code.co_lines() if line and line > code.co_firstlineno}
        found.setdefault(code.co_name, set()).update(lines - beside)
    return found


def wanted() -> dict[str, set[int]]:
    """Lines with code of the functions that read, of each module.

    Raises:
        LookupError: there is no such function, or functions are named of a module that is not.
    """
    if stray := set(READS) - set(OURS):
        raise LookupError(f"no module with doors: {', '.join(sorted(stray))}")
    return {module: _chosen(module) for module in OURS}


def _chosen(module: str) -> set[int]:
    functions = code_lines(module)
    if unknown := set(READS.get(module, ())) - set(functions):
        raise LookupError(f"{module} has no function {', '.join(sorted(unknown))}")
    return set().union(*(functions[name] for name in READS.get(module, functions)))


def _handlers(tree: ast.Module) -> set[int]:
    """Lines of handlers of nothing but such errors, and of what stands for code that is elsewhere."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value is ...:
            lines.add(node.lineno)
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if {ast.unparse(kind) for kind in kinds} <= ELSEWHERE:
                lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Code of every function inside, at any depth, but not of classes and the module."""
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            if inner.co_flags & 0x2:
                yield inner
            yield from _codes(inner)


def reached(cases: int, seed: int) -> dict[str, set[int]]:
    """Lines that ran of each file, over all doors."""
    files = {importlib.import_module(module).__file__: module for module in OURS}
    ran: dict[str, set[int]] = {module: set() for module in OURS}

    def trace(frame: types.FrameType, event: str, _: object) -> object:
        module = files.get(frame.f_code.co_filename)
        if module is None:
            return None
        lines = ran[module]

        def local(frame: types.FrameType, event: str, _: object) -> object:
            if event == "line":
                lines.add(frame.f_lineno)
            return local

        return local

    names = {name for given in OURS.values() for name in given}
    here = Path.cwd()
    for door in doors(sorted(names)):
        with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
            opened = door.open(Path(folder))
            threading.settrace(trace)  # type: ignore[arg-type]
            sys.settrace(trace)  # type: ignore[arg-type]
            try:
                for data in (*opened.seeds, *(case(opened, door.name, seed, number) for number in range(cases))):
                    opened.check(data)
            finally:
                sys.settrace(None)
                threading.settrace(None)  # type: ignore[arg-type]
                os.chdir(here)
    return ran


@dataclass(frozen=True, slots=True)
class Reach:
    """How much of a module ran."""

    lines: int
    """Of its functions that read."""
    missed: tuple[int, ...]

    @property
    def share(self) -> float:
        """Of the lines that ran."""
        return 1 - len(self.missed) / self.lines


def reach(cases: int, seed: int) -> dict[str, Reach]:
    """Of each module, how much so many inputs of each door reach."""
    chosen, ran = wanted(), reached(cases, seed)
    return {module: Reach(len(lines), tuple(sorted(lines - ran[module]))) for module, lines in chosen.items()}


def short(found: Mapping[str, Reach]) -> list[str]:
    """Modules of which less ran than must."""
    return [module for module, each in found.items() if each.share < GOAL]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300, help="inputs of each door")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    found = reach(given.cases, given.seed)
    for module, each in found.items():
        missed = f"   not: {', '.join(map(str, each.missed))}" if each.missed else ""
        print(f"{module:40} {each.lines - len(each.missed):4} of {each.lines:4} lines, {each.share:4.0%}{missed}")
    total, missed = sum(each.lines for each in found.values()), sum(len(each.missed) for each in found.values())
    print(f"all: {1 - missed / total:.1%} of {total:,} lines, {given.cases:,} inputs of each door, seed {given.seed}")
    if less := short(found):
        print(f"less than {GOAL:.0%} of {', '.join(less)}")
    return 1 if less else 0


if __name__ == "__main__":
    sys.exit(main())
