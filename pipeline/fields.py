"""Options of a form as arguments of a command line: `--help` in groups, with every default."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline import options
from pipeline.arguments import Parser


def parse_job(parser: Parser, argv: Sequence[str] | None) -> tuple[list[str], str, dict[str, Any]]:
    """Sources, output and options of a command line whose `paths` are `SOURCE [SOURCE ...] OUTPUT`."""
    given = vars(parser.parse_mixed(argv))
    *sources, output = given.pop("paths")
    # Not before all is read: a slip in an option's name takes a path with it, and is what has to be told.
    if not sources:
        parser.error(f"SOURCE and OUTPUT are needed, got only {output!r}")
    return sources, output, given


def add_options(parser: argparse.ArgumentParser, form: type, fields: Sequence[Any] | None = None) -> None:
    """Add the options of a form, those of one group together, and `--config`, a file of them.

    Args:
        parser: of the command.
        form: dataclass whose fields are made by `options.option`.
        fields: some of its fields; default all.
    """
    fields = dataclasses.fields(form) if fields is None else fields
    parser.add_argument("--config", metavar="FILE", help="YAML file with options, one a line; the command line wins")
    for place in dict.fromkeys(field.metadata["group"] for field in fields):
        group = parser.add_argument_group(place)
        for field in fields:
            if field.metadata["group"] == place:
                _add(group, form, field)


def with_file(form: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the command line over those of the file that `--config` names.

    Raises:
        UserError: the file cannot be read, or holds an option that cannot be meant.
    """
    words = dict(given)
    path = words.pop("config", None)
    return words if path is None else {**options.from_yaml(form, path), **words}


def _add(group: Any, form: type, field: Any) -> None:
    spelled, words = options.flag(field.name), field.metadata["help"].replace("%", "%%")
    if options.field_type(form, field.name) is bool:
        group.add_argument(spelled, action="store_true", help=words)
        return
    if isinstance(field.default, tuple):
        group.add_argument(spelled, action="append", help=words, metavar=field.metadata["metavar"])
        return
    if field.default not in (None, ""):
        words += f" (default: {options.shown(form, field.name, field.default)})".replace("%", "%%")
    choices = options.choices_of(form, field.name) or None
    group.add_argument(spelled, help=words, metavar=field.metadata["metavar"], choices=choices)
