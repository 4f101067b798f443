"""Options of a command: fields of a dataclass that know their words in `--help` and how they are read.

One field is an option of the command line, a keyword in Python and a line of YAML, with one meaning.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from pipeline.errors import UserError
from pipeline.quantities import parse_bytes, parse_seconds, parse_share, parse_whole

Options = TypeVar("Options")


def option(
    group: str,
    help: str,
    *,
    default: Any,
    parse: Any = None,
    metavar: str | None = None,
    of: tuple[str, ...] | None = None,
) -> Any:
    """Field of a configuration together with its place and words in `--help`.

    Args:
        group: heading under which it stands.
        help: what it is.
        default: its value where none is given.
        parse: value from a string with a unit; default: by the field's type.
        metavar: what stands for its value.
        of: the commands that have it, where several share the configuration; None: all of them.
    """
    return field(default=default, metadata={"group": group, "help": help, "parse": parse, "metavar": metavar, "of": of})


def flag(name: str) -> str:
    """Spelling of a field on the command line."""
    return "--" + name.replace("_", "-")


def texts(form: Any) -> Iterator[tuple[str, str]]:
    """Give each text in a form, which plans and records keep as it is, after the name of its option."""
    for each in dataclasses.fields(form):
        value = getattr(form, each.name)
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str):
                yield flag(each.name), text


def no_share(name: str, value: float) -> str | None:
    """What is wrong with the value of a field that is a share; None for nothing."""
    if 0 <= value <= 1:
        return None
    meant = f"; did you mean {value:g}%?" if 1 < value <= 100 else ""
    return f"{flag(name)} must be between 0 and 1, got {value:g}{meant}"


def shown(form: type, name: str, value: Any) -> str:
    """Value of a field as a user would write it."""
    parse = {each.name: each.metadata["parse"] for each in dataclasses.fields(form)}[name]
    if value is None:
        return "none"
    if parse is parse_seconds:
        return f"{value:g}s"
    if parse is parse_bytes:
        return f"{value / 1e6:g}MB"
    return f"{value:.0%}" if parse is parse_share and round(100 * value, 9) % 1 == 0 else str(value)


def field_type(form: type, name: str) -> type:
    """Plain type of a field: `int | None` gives `int`."""
    hint = _hints(form)[name]
    if typing.get_origin(hint) is types.UnionType:
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    return str if typing.get_origin(hint) is Literal else hint


@functools.cache
def _hints(form: type) -> Mapping[str, Any]:
    """Types of the fields, evaluated once: a file of options asks for each of its lines."""
    return typing.get_type_hints(form)


def choices_of(form: type, name: str) -> tuple[str, ...]:
    """The allowed words of a field that has a closed set, else nothing."""
    hint = _hints(form)[name]
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def convert(form: type, name: str, value: Any) -> Any:
    """Value of a field from a string with a unit, or as it is.

    Raises:
        UserError: the field does not exist, or the value is not of its kind.
    """
    fields = {each.name: each for each in dataclasses.fields(form)}
    if name not in fields:
        near = difflib.get_close_matches(name, fields, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; the options are {', '.join(fields)}"
        raise UserError(f"there is no option {name!r}{hint}")
    if value is None and fields[name].default is None:
        return None
    try:
        return (fields[name].metadata["parse"] or _PARSERS[field_type(form, name)])(value)
    except ValueError as error:
        raise UserError(f"{flag(name)}: {error}") from None


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool | list | dict):
        raise ValueError(f"{value!r} is no text; put it into quotes")
    return str(value)


_PARSERS: Mapping[type, Callable[[Any], Any]] = {bool: _truth, int: parse_whole, str: _text}
"""How a field is read that does not say so itself."""


def check_served(form: type, options: Mapping[str, Any], command: str) -> None:
    """Refuse options that another command has.

    Raises:
        UserError: with the commands that have it.
    """
    served = {each.name: each.metadata["of"] for each in dataclasses.fields(form)}
    for name in options:
        if served.get(name) and command not in served[name]:
            raise UserError(f"{flag(name)} is no option of {command}; it is one of {', '.join(served[name])}")


def make(form: type[Options], options: Mapping[str, Any]) -> Options:
    """Make a configuration from keywords, some of them strings with units.

    Raises:
        UserError: an unknown option or a value that cannot be meant, with the nearest option's name.
    """
    return form(**{name: convert(form, name, value) for name, value in options.items()})


def from_yaml(form: type, path: str) -> dict[str, Any]:
    """Read options of a form from a YAML file, by field name (`unit_bytes: 256MB`), `-` and `_` alike.

    Raises:
        UserError: the file is missing, is not YAML, does not hold a mapping, or holds an option that cannot be meant.
    """
    where = f"--config {path}"
    try:
        with Path(path).expanduser().open(encoding="utf-8") as file:
            loaded = _loaded(file.read(_LONGEST + 1))
    except OSError as error:
        raise UserError(f"{where}: {(error.strerror or str(error)).lower()}; name a YAML file of options") from None
    except (yaml.YAMLError, *_OF_YAML) as error:
        raise UserError(f"{where}: cannot be read as YAML ({_first_line(error)})") from None
    if not isinstance(loaded, dict):
        raise UserError(f"{where}: must hold one option a line, as `window: 14s`")
    try:
        return {
            name: convert(form, name, value)
            for name, value in ((str(name).replace("-", "_"), value) for name, value in loaded.items())
        }
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _loaded(text: str) -> Any:
    """What some YAML says.

    Raises:
        ValueError, and what PyYAML raises: it says nothing, or what no options need: a few lines that stand for
            gigabytes, brackets that take minutes to read.
    """
    if len(text) > _LONGEST or text.count("[") + text.count("{") > _MOST_BRACKETS:
        raise ValueError("too long or too nested for options")
    if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
        raise ValueError("it has an alias (*name); write the value itself")
    return yaml.safe_load(text)


_LONGEST, _MOST_BRACKETS = 100_000, 200
_OF_YAML = (ValueError, KeyError, AttributeError, TypeError, OverflowError, RecursionError)
"""What PyYAML raises besides: a date without such a day, a number that is none, lists in lists in lists."""


def _first_line(error: Exception) -> str:
    """What is wrong and, for YAML, where."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or (str(error).splitlines() or [type(error).__name__])[0]
    return f"line {mark.line + 1}: {problem}" if mark else problem
