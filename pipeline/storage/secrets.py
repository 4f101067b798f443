"""What must never be shown: credentials of this process's surroundings, and those inside of texts."""

from __future__ import annotations

import configparser
import functools
import os
import re
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from pipeline import documents
from pipeline.errors import UserError

E = TypeVar("E", bound=BaseException)

_LONG = (
    r"signature|credentials?|token|secret|password|passwd|passphrase|authorization|connection[-_.]?string"
    r"|(?:api|access|account|private|secret|shared)[-_.]?key(?:[-_.]?id)?"
)
"""What names of secrets end in, whatever stands before: `X-Goog-Signature`, `accesstoken`."""
_SHORT = r"auth|pwd|sig"
"""The same of words that end others too, as `design`, so only at the start or after a mark: `x_sig`."""
_NAME = rf"(?:[\w.-]*(?:{_LONG})|(?:[\w.-]*[-_.])?(?:{_SHORT})"
"""Of a parameter of a query, or a setting of a client; to be closed."""
_USER_INFO = re.compile(r"""(?<=://)(?:[^/?#@\s"'<>\\,]+|[^/?#@\s"'<>\\,:]+:(?!\d*[/,])(?:(?!://)[^?#@\s"'<>\\])*)@""")
"""Also a password with a slash, as keys have them, but not a port and a path with an @, nor an address beside a URI."""
_URI = re.compile(r"""(?:://|/[^\s"'<>?/]*\?)[^\s"'<>]*""")
"""From the scheme on, or where clients leave out the host, from the last part of the path."""
_GIVEN = r"""(=|%3d)(?:[^&;#%\s"'<>]++|%(?!26))+"""
# A URI inside of another, or of an answer, has its marks percent-encoded.
_IN_URI = re.compile(rf"(?i)((?:[?&;#]|%(?:3f|26|3b|23)){_NAME})|(?:[?&]|%(?:3f|26))key){_GIVEN}")
_SIGNED = re.compile(
    rf"(?i)((?:[?&]|%(?:3f|26|3b|23)){_NAME})|x-amz-(?:signature|credential|security-token)|awsaccesskeyid){_GIVEN}"
)
"""In any text, where `;` and `#` are marks of other things too, and a key one of music or of a table."""
_MASKED = r"\1\2***"
_CLIENTS = ("AWS_", "AZURE_", "FSSPEC_", "HF_", "HUGGING_FACE_")
"""Beginnings of the variables that clients of storage and of the model hub are made from."""
_VARIABLE = re.compile(
    r".*_(?:(?:ACCESS|SECRET|ACCOUNT|STORAGE|API)_KEY|ACCESS_KEY_ID|TOKEN|SECRET|PASSWORD|CONNECTION_STRING|SAS)"
)
"""Names of those that hold a secret: of the others some end in KEY too, and are the name of an object."""
_SETTING = re.compile(rf"(?i){_NAME}|(?:[\w.-]*[-_.])?key)")
"""Names of settings of fsspec that do."""
_FILES = (("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"), ("AWS_CONFIG_FILE", "~/.aws/config"))
_IN_FILES = ("aws_secret_access_key", "aws_session_token", "aws_access_key_id")
_SHORTEST = 8
"""Characters of a secret; what is shorter would mask half a text."""
_FRESH = 1.0
"""Seconds for which secrets that were found are known."""
MOST_CAUSES = 10
"""Of an error that are told or asked."""


def redact(text: str) -> str:
    """Mask credentials: user info in URIs, secrets in queries, those of this process's variables and AWS profiles."""
    for value in _known():
        text = text.replace(value, "***")
    if "://" in text:
        text = _USER_INFO.sub("***@", text)
    if "=" in text or "%3" in text:
        text = _URI.sub(lambda uri: _IN_URI.sub(_MASKED, uri[0]), text)
        text = _SIGNED.sub(_MASKED, text)
    return text


def refuse_secrets(text: str, place: str = "") -> None:
    """Check a URI, or another text that ids and rows keep as it is.

    Raises:
        UserError: there is something secret in it; names `place` and the text without it.
    """
    shown = redact(text)
    if shown != text:
        raise UserError(
            f"{place}{shown}: credentials do not belong into a URI; put them into the environment (AWS_...)"
        )


def redacted_trace() -> str:
    """Traceback of the error that is being handled; stores quote keys and tokens in what they answer."""
    return redact(traceback.format_exc())


def with_causes(raised: E, error: BaseException | None, masked: Callable[[str], str] = redact) -> E:
    """Note at what is raised instead of a client's error what that and its causes say, without credentials.

    To be raised `from None`: a traceback shows a cause as the client made it, and stores quote keys and tokens.
    """
    for each in causes(error):
        raised.add_note(masked(f"because of {type(each).__name__}: {each}"))
    return raised


def causes(error: BaseException | None) -> list[BaseException]:
    """Give an error and what it came from, each once: an error may be a cause of itself."""
    found: list[BaseException] = []
    while error is not None and len(found) < MOST_CAUSES and not any(error is each for each in found):
        found.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


class _Found(NamedTuple):
    """Secrets by falling length, for one may hold another, and what tells whether they are still those."""

    values: list[str]
    until: float
    """Time up to which nobody looks at files, or at variables of others, of which there may be thousands."""
    variables: int
    """Number of all that are set: a new one is noticed at once, unless one of others went meanwhile."""
    of_clients: dict[str, str]


_NOTHING = _Found([], 0.0, 0, {})
_found = _NOTHING


def _known() -> list[str]:
    """Secrets of variables as they are now, and of files as they were at most a second ago.

    Asked for each line of a manifest, so it must cost next to nothing.
    """
    global _found  # noqa: PLW0603
    found = _found
    if (
        time.monotonic() >= found.until
        or len(os.environ) != found.variables
        or any(os.environ.get(name) != value for name, value in found.of_clients.items())
    ):
        _found = found = _look()
    return found.values


def _look() -> _Found:
    until = time.monotonic() + _FRESH
    of_clients = {name: value for name, value in os.environ.items() if name.startswith(_CLIENTS)}
    values: set[str] = set()
    for name, value in of_clients.items():
        values |= _in_variable(name, value)
    for variable, usual in _FILES:
        path = os.path.expanduser(of_clients.get(variable) or usual)
        try:
            changed = os.stat(path).st_mtime_ns
        except (OSError, ValueError):
            continue
        values |= _in_file(path, changed)
    long = sorted((value for value in values if len(value) >= _SHORTEST), key=len, reverse=True)
    return _Found(long, until, len(os.environ), of_clients)


@functools.lru_cache(maxsize=256)
def _in_variable(name: str, value: str) -> frozenset[str]:
    """Secrets of a variable; fsspec reads settings as JSON from some, as `FSSPEC_S3={"key": ..., "secret": ...}`."""
    of_fsspec = name.startswith("FSSPEC_")
    if (_SETTING if of_fsspec else _VARIABLE).fullmatch(name):
        return frozenset((value,))
    if not of_fsspec:
        return frozenset()
    try:
        return frozenset(_in_settings(documents.parse(value)))
    except ValueError:
        return frozenset()


def _in_settings(settings: Any) -> Iterator[str]:
    for name, value in settings.items() if isinstance(settings, dict) else ():
        if isinstance(value, str) and _SETTING.fullmatch(name):
            yield value
        yield from _in_settings(value)


@functools.lru_cache(maxsize=8)
def _in_file(path: str, _changed: int) -> frozenset[str]:
    """Secrets of all profiles in a file of the AWS command line; none where it cannot be read."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return frozenset()
    return frozenset(parser.get(profile, name, fallback="") for profile in parser.sections() for name in _IN_FILES)
