"""Files that go with a command: the YAML of `--config`, trial lists and reference manifests."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from unittest import mock

import numpy as np
import pyarrow as pa
import yaml

from pipeline import config, options
from pipeline.errors import UserError
from pipeline.evaluation.files import RowNames
from pipeline.evaluation.manifest import match
from pipeline.evaluation.rows import Compared
from pipeline.evaluation.triallist import read_trials
from pipeline.storage import lines as text
from tests.fuzz import mutate
from tests.fuzz.documents import changed, documented
from tests.fuzz.door import Door, Opened, refused

_YAML = (
    b"&a [*a]", b"*b", b"!!python/object/apply:os.system [id]", b"!!binary x", b"2001-99-99", b"2001-01-01", b"0x",
    b"1_000",
    b"[" * 1500, b"- " * 300, b"? [a]", b"? {a: b}\n: 1", b"<<: 1", b"1e308GB", b".inf", b".nan", b"!!int x",
    b"!!float x", b"\t",
    b"!!set {a}", b"!!omap [a]", b"0o9", b"190:20:30", b"!!timestamp x", b"%YAML 9.9", b"---\n---", b"...",
    b"\x00", b"\xff",
    b"'", b'"\\ud800"', b"=", b"{a: 1, a: 2}", b"1" * 5000, b"!!bool x", b"!!null x", b"&a a: &a b", b"# ",
    b"9" * 400, b"1e999s",
)  # fmt: skip
_WORDS = (
    "5%",
    "10s",
    "256MB",
    "1e308GB",
    "1e999",
    "-1",
    "0",
    "1.5h",
    "auto",
    "cpu",
    "yes",
    "nan",
    "inf",
    "1e308h",
    "٣",
    [1],
    {"a": 1},
)
_OPTIONS = {"window": "10s", "context": "1s", "unit_bytes": "256MB", "max-errors": "5%", "device": "cpu", "debug": True,
            "columns": "speaker:string", "task": ["transcribe=a"], "model_actors": 2, "gpus": 0.5}  # fmt: skip


def open_config(folder: Path) -> Opened:
    path = folder / "run.yaml"

    def check(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            given = options.from_yaml(config.RunConfig, str(path))
        except UserError as error:
            refused(error, "run.yaml")
            return "cannot be read as YAML" not in str(error)
        try:
            options.make(config.RunConfig, given)
        except UserError as error:
            refused(error, "--")
        return True

    seeds = [
        yaml.safe_dump(_OPTIONS).encode(),
        b"window: 10s\ndebug: true\n",
        b"window: 1e308h\n",
        b"model_actors: 2.5\n",
    ]
    return Opened(seeds, check, _yaml)


_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def _yaml(dice: Random, seeds: Sequence[bytes]) -> bytes:
    if dice.random() < 0.15:
        return mutate.bent(dice, seeds)
    document = copy.deepcopy(_OPTIONS)
    for _ in range(dice.choice((1, 1, 2))):
        document = changed(dice, document, (*_WORDS, None, 10**400, "x" * 300, 2**63, 0.0, "\u0000"))
    text = yaml.dump(document, Dumper=_DUMPER).encode()
    if dice.random() < 0.4:
        lines = text.split(b"\n")
        line = dice.randrange(len(lines))
        name = lines[line].partition(b":")[0] or b"window"
        lines[line] = (name + b": " if dice.random() < 0.7 else b"") + dice.choice(_YAML)
        text = b"\n".join(lines)
    return text


def _names() -> RowNames:
    return RowNames(
        ["c/a.wav", "c/b.wav", "c/d.wav@0-1", "c/d.wav@1-2"],
        ["a", "b", "d", "d"],
        ["c/a.wav", "c/b.wav", "c/d.wav", "c/d.wav"],
    )


def open_trials(folder: Path) -> Opened:
    path = folder / "trials.txt"
    rows = pa.table({"id": ["c/a.wav", "c/b.wav"]})
    found = Compared(rows, [None, None], _names(), np.array([0, 1, -1, -1]), {})
    seeds = [
        b"a b target\nc/a.wav b nontarget\n",
        b"a\tb\t1\nb\ta\t0\n\nx y 1\n",
        b"a b 1\n" + b"b" * 5000 + b" a 1\n",
    ]

    def check(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            # Megabytes of one line would say the same, and take longer.
            with mock.patch.object(text, "LONGEST", 4096):
                read_trials(str(path), found)
        except UserError as error:
            refused(error, "trials.txt")
            return "UTF-8" not in str(error)
        return True

    return Opened(seeds, check)


def open_references(folder: Path) -> Opened:
    path = folder / "checked.jsonl"
    seeds = [
        b"\n".join(json.dumps(each).encode() for each in lines)
        for lines in (
            [{"id": "c/a.wav", "text": "one"}, {"key": "b", "label": ["x", "y"]}],
            [{"id": None, "key": "d", "text": 3}],
        )
    ]
    change = documented(("a", "b", "c/d.wav", 1, None))

    def mutated(dice: Random, seeds: Sequence[bytes]) -> bytes:
        lines = dice.choice(seeds).split(b"\n")
        lines[dice.randrange(len(lines))] = change(dice, [dice.choice(lines)])
        return b"\n".join(lines)

    def check(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            match(str(path), _names())
        except UserError as error:
            refused(error, "checked.jsonl")
            return "not JSON" not in str(error) and "UTF-8" not in str(error)
        return True

    return Opened(seeds, check, mutated)


DOORS = (Door("options", open_config), Door("trials", open_trials), Door("references", open_references))
