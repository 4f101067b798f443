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
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz.door import case  # noqa: E402
from tests.fuzz.run import doors  # noqa: E402
from tests.fuzz.session import memory_folder  # noqa: E402

OURS = {
    "pipeline.documents": (),
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
    "pipeline.sources.patterns": ("names",),
    "pipeline.models.checkpoint": ("config", "weights-index"),
    "pipeline.models.wav2vec2_bert.config": ("config",),
    "pipeline.models.wav2vec2_bert.checks": ("config",),
    "pipeline.text.tokenizer": ("vocabulary",),
    "pipeline.audio.extractor": ("feature-settings",),
    "pipeline.plan.generations": ("plan",),
    "pipeline.plan.columns": ("plan",),
    "pipeline.plan.values": ("plan",),
    "pipeline.table.unit_file": ("unit",),
    "pipeline.table.check": ("unit",),
    "pipeline.table.task": ("task-record",),
    "pipeline.table.footers": ("unit",),
    "pipeline.table.lease": ("lease",),
    "pipeline.table.totals": ("totals",),
    "pipeline.table.publish.manifest": ("published",),
    "pipeline.plan.forgotten": ("forgotten",),
    "pipeline.models.weights": ("safetensors", "weights-index"),
    "pipeline.plan.success": ("success",),
    "pipeline.evaluation.triallist": ("trials",),
    "pipeline.evaluation.manifest": ("references",),
}
"""Modules that read foreign bytes -> the doors that lead to them."""

READS = {
    "pipeline.models.checkpoint": ("read_config", "weight_files", "_shards", "_plain", "_read_object"),
    "pipeline.text.tokenizer": ("load", "spell", "_settings", "_vocab", "_added", "_check_ids", "_tokens",
                                "_check_blank", "_token", "_read"),
    "pipeline.audio.extractor": ("load", "_declared", "_check"),
    "pipeline.table.task": ("read_record", "_known", "_read", "decode_record", "_text", "_schema", "contradiction"),
    "pipeline.table.lease": ("signs", "_read", "first"),
    "pipeline.table.totals": ("read_known", "totals", "_count"),
    "pipeline.table.publish.manifest": ("numbers", "newest", "newest_files", "read", "_read", "decode",
                                        "decode_files", "_file", "_text"),
    "pipeline.plan.forgotten": ("forgotten", "_newest", "_read"),
    "pipeline.models.weights": ("names", "read", "_places"),
    "pipeline.plan.success": ("read_success", "_whole", "_text"),
    "pipeline.plan.generations": ("scope", "row_group", "_row_group", "row_groups", "units", "open_generation",
                                  "_opened", "_open", "unit_runs", "_reading", "damaged", "_is_text"),
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


def _handlers(tree: ast.Module) -> set[int]:
    """Lines of handlers of nothing but such errors."""
    lines: set[int] = set()
    for node in ast.walk(tree):
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300, help="inputs of each door")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    ran = reached(given.cases, given.seed)
    total, hit, short = 0, 0, []
    for module in OURS:
        functions = code_lines(module)
        chosen = READS.get(module) or tuple(functions)
        lines = set().union(*(functions[name] for name in chosen if name in functions))
        total, hit = total + len(lines), hit + len(lines & ran[module])
        if len(lines & ran[module]) < GOAL * len(lines):
            short.append(module)
        missed = ", ".join(map(str, sorted(lines - ran[module])))
        share = f"{len(lines & ran[module]):4} of {len(lines):4} lines, {len(lines & ran[module]) / len(lines):4.0%}"
        print(f"{module:40} {share}{'   not: ' + missed if missed else ''}", flush=True)
    print(f"all: {hit / total:.1%} of {total:,} lines, {given.cases:,} inputs of each door, seed {given.seed}")
    if short:
        print(f"less than {GOAL:.0%} of {', '.join(short)}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
