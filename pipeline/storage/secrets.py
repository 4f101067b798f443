"""What must never be shown: credentials of this process's surroundings, and those inside of texts."""

from __future__ import annotations

import configparser
import functools
import os
import re
import traceback

from pipeline.errors import UserError

_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
_FILES = (("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"), ("AWS_CONFIG_FILE", "~/.aws/config"))
_SHORTEST = 8
"""Characters of a secret; what is shorter would mask half a text."""
_USER_INFO = re.compile(r"(?<=://)(?:[^/@\s]+|[^/@\s:]+:(?!\d*/)[^@\s]*)@")
"""Also a password with a slash, as keys have them, but not a port and a path with an @."""
_SIGNED = re.compile(
    r"(?i)(x-amz-(?:signature|credential|security-token)|awsaccesskeyid|(?<=[?&;])(?:sig|signature|token|secret|key))"
    r"=[^&\s'\"]+"
)


def redact(text: str) -> str:
    """Mask credentials: user info in URIs, signatures in queries, the AWS keys of this process and its profiles."""
    for value in _known():
        text = text.replace(value, "***")
    return _SIGNED.sub(r"\1=***", _USER_INFO.sub("***@", text))


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


def _known() -> list[str]:
    """Secrets by falling length, for one may hold another."""
    values = {os.environ.get(name, "") for name in _VARIABLES}
    for variable, usual in _FILES:
        path = os.path.expanduser(os.environ.get(variable) or usual)
        try:
            changed = os.stat(path).st_mtime_ns
        except (OSError, ValueError):
            continue
        values |= _in_file(path, changed)
    return sorted((value for value in values if len(value) >= _SHORTEST), key=len, reverse=True)


@functools.lru_cache(maxsize=8)
def _in_file(path: str, _changed: int) -> frozenset[str]:
    """Secrets of all profiles in a file of the AWS command line; none where it cannot be read."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return frozenset()
    names = [variable.lower() for variable in _VARIABLES]
    return frozenset(parser.get(profile, name, fallback="") for profile in parser.sections() for name in names)
