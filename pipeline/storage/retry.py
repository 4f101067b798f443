"""Which errors of storage are worth another try, and what the user reads about the others."""

from __future__ import annotations

import contextlib
import errno
import functools
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

from pipeline import overdue, stopping
from pipeline.errors import StorageFault, UserError
from pipeline.storage import patience
from pipeline.storage.paths import is_local, redact
from pipeline.storage.secrets import MOST_CAUSES, causes, with_causes

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

_THROTTLING_CODES = (
    "BandwidthLimitExceeded", "EC2Throttled", "LimitExceeded", "PriorRequestNotComplete", "ProvisionedThroughput",
    "RequestLimitExceeded", "RequestThrottled", "ServiceUnavailable", "SlowDown", "Throttl", "TooManyRequests",
    "TransactionInProgress",
)  # fmt: skip
_THROTTLING_STATUS = (429, 503)
_TRANSIENT_CODES = (
    "BadDigest", "IDPCommunicationError", "IncompleteBody", "InternalError", "OperationAborted", "RequestTimeout",
    "XAmzContentSHA256Mismatch",
)  # fmt: skip
"""With those above what botocore and s3fs retry, which are told not to, and bodies that arrived in part."""
_TRANSIENT_STATUS = (408, 409, 425)
_TRANSIENT_ERRNO = {
    errno.EAGAIN, errno.EBUSY, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH,
    errno.EIO, errno.ENETDOWN, errno.ENETUNREACH, errno.EPIPE, errno.EREMOTEIO, errno.ESTALE, errno.ETIMEDOUT,
}  # fmt: skip
_BROKEN = (
    "ClientPayloadError", "ConnectTimeoutError", "ConnectionClosedError", "IncompleteReadError", "ReadTimeoutError",
    "ResponseStreamingError", "ServerDisconnectedError",
)  # fmt: skip
"""Errors of clients that no cause tells more of."""
_NOWHERE = (errno.ENAMETOOLONG, errno.ELOOP)
"""Of names under which nothing can be: longer than any, or links in a circle."""
_FOREIGN_ROOTS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("botocore.parsers", "ResponseParserError"),
    ("aiohttp", "ClientError"),
    ("urllib3.exceptions", "HTTPError"),
    ("http.client", "HTTPException"),
    ("gcsfs.retry", "HttpError"),
)
_NO_CREDENTIALS = (
    "ConfigNotFound", "ConfigParse", "CredentialRetrieval", "NoCredentials", "PartialCredentials",
    "ProfileNotFound", "SSOTokenLoad", "TokenRetrieval", "UnauthorizedSSOToken",
)  # fmt: skip
_REFUSED_CREDENTIALS = (
    "AuthorizationHeaderMalformed", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken",
    "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired",
)  # fmt: skip
_USER = re.compile(r"://([^/@\s]+)@")
_PASSED = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    EOFError,
)


Waits = Callable[[], Iterator[float]]
_waits: ContextVar[tuple[Waits, Waits]] = ContextVar(
    "_waits", default=(patience.after_breaks, patience.after_throttling)
)
"""Between tries of what broke, and of what a store refused for now."""
_answered: ContextVar[Callable[[], None]] = ContextVar("_answered", default=lambda: None)


def _note_answer() -> None:
    overdue.moved()
    _answered.get()()


def tell_answers(to: Callable[[], None]) -> None:
    """Have it called in this thread after each answer of storage, be it that a store asks for time."""
    _answered.set(to)


@contextlib.contextmanager
def hasty() -> Iterator[None]:
    """Try what breaks twice only, inside this context: before any work a user waits for what a wrong endpoint gives.

    A store that asks for time is waited for as long as ever: it has been found.
    """
    with _waiting(patience.in_haste, patience.after_throttling):
        yield


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Try twice only, inside this context: what may as well not be done, or a user asks for again."""
    with _waiting(patience.in_haste, patience.in_haste):
        yield


@contextlib.contextmanager
def _waiting(breaks: Waits, throttling: Waits) -> Iterator[None]:
    token = _waits.set((breaks, throttling))
    try:
        yield
    finally:
        _waits.reset(token)


def attempt(uri: str, doing: str, call: Callable[[], T]) -> T:
    """Call `call`, again after transient errors, and turn what remains into errors with a meaning.

    A store that asks for time slows the call down for ten minutes before it is a fault; what breaks, for half a
    minute: see `patience`.

    Args:
        uri: what the call is about, for the message.
        doing: what it does, for the message: `listing`, `reading`, `writing`.
        call: must be safe to repeat.

    Raises:
        FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError, EOFError:
            as they come; they say something about one object.
        UserError: missing bucket, missing or refused credentials, an endpoint that is no URL.
        StorageFault: transient errors that lasted, or until the run was asked to end, and everything else that storage
            answers.
    """
    breaks, throttling = (waits() for waits in _waits.get())
    while True:
        try:
            given = call()
            _note_answer()
            return given
        except _storage_errors() as error:
            if answer_of(error)[1]:
                _note_answer()
            _pass(uri, doing, error)
            waits = throttling if is_throttling(error) else breaks
            delay = next(waits, None) if is_transient(error) else None
            if delay is None or not stopping.waited(delay):
                raise _fault(uri, doing, error) from None


@contextlib.contextmanager
def translated(uri: str, doing: str) -> Iterator[None]:
    """Turn errors of storage into errors with a meaning, around what cannot be done again; raises as `attempt`."""
    try:
        yield
    except _storage_errors() as error:
        _pass(uri, doing, error)
        raise _fault(uri, doing, error) from None


def is_transient(error: BaseException) -> bool:
    """Say whether the same call may succeed a little later."""
    code, status = answer_of(error)
    if status:
        return status >= 500 or status in _TRANSIENT_STATUS or code.startswith(_TRANSIENT_CODES) or is_throttling(error)
    if isinstance(error, (TimeoutError, ConnectionError)):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _TRANSIENT_ERRNO
    return _is_foreign(error)


def is_throttling(error: BaseException) -> bool:
    """Say whether a store asks for time: it is there, and refuses for now."""
    code, status = answer_of(error)
    return status in _THROTTLING_STATUS or code.startswith(_THROTTLING_CODES)


def is_broken(error: BaseException) -> bool:
    """Say whether a connection broke, was refused or was late; a name that nobody has, or an answer, is none."""
    if answer_of(error)[1]:
        return False
    found = causes(error)
    names = [each.errno for each in found if isinstance(each, socket.gaierror)]
    return all(number == socket.EAI_AGAIN for number in names) and (bool(names) or any(map(_breaks, found)))


def _breaks(error: BaseException) -> bool:
    if isinstance(error, (TimeoutError, ConnectionError)) or _name(error) in _BROKEN:
        return True
    return isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNO


def answer_of(error: BaseException) -> tuple[str, int]:
    """Give code and HTTP status of a store's answer, from the error or its causes; ("", 0) without one."""
    seen = error
    # An error may be a cause of itself.
    for _ in range(MOST_CAUSES):
        if isinstance(seen, StorageFault) and seen.answer[1]:
            return seen.answer
        response: Any = getattr(seen, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = str(response.get("Error", {}).get("Code", ""))
            return code, int(status or (code if code.isdigit() else 0))
        if seen.__cause__ is None:
            break
        seen = seen.__cause__
    return "", 0


def denied(uri: str, doing: str, permission: str) -> UserError:
    """Make the message for a refused access, naming the permission that is needed."""
    if "://" in uri and not uri.startswith("file://"):
        remedy = f"Check AWS_PROFILE or the bucket policy: {permission} is needed"
        return UserError(f"{redact(uri)}: access denied (403) while {doing}. {remedy}.")
    return UserError(
        f"{redact(uri)}: permission denied while {doing}. Check owner and mode of the file and its folders."
    )


def unreachable(fault: StorageFault) -> UserError | StorageFault:
    """Make of a fault of remote storage met before any work an error with the variables to look at.

    A fault of a local disk, which its message begins with, stays what it is, and so does that of a store which
    answers that it is busy: it was found, and the same command may do a little later. So may it where a connection
    broke or was refused, which a wrong endpoint does too. What else is wrong is the user's.
    """
    if is_local(str(fault)) or (answer_of(fault)[1] and is_transient(fault)):
        same = StorageFault(str(fault))
        same.answer = fault.answer
        return same
    told = f"{fault}. Is the endpoint right and up? Check AWS_ENDPOINT_URL and the network."
    return StorageFault(told) if fault.broken else UserError(told)


def _told(uri: str, text: str) -> str:
    """What an error says, without the credentials of a URI, which clients take for a part of the bucket's name."""
    user = _USER.search(uri)
    return redact(text.replace(user[1], "***") if user else text)


def _pass(uri: str, doing: str, error: BaseException) -> None:
    """Raise what another try would not change: the user's error, what is said about one object, or a bug as it is."""
    mistake = _mistake(uri, doing, error)
    if mistake is not None:
        raise _instead_of(error, mistake, uri) from None
    if doing != "writing" and getattr(error, "errno", None) in _NOWHERE:
        raise FileNotFoundError(errno.ENOENT, _told(uri, str(error))) from None
    if isinstance(error, _PASSED):
        raise _alone(uri, error) from None
    if not _from_storage(error):
        raise error


def _mistake(uri: str, doing: str, error: BaseException) -> UserError | None:
    """What `error` tells about bucket, credentials or endpoint; None if it tells none of it."""
    code, status = answer_of(error)
    if code == "NoSuchBucket":
        return UserError(f"{redact(uri)}: no such bucket. Check the name, AWS_PROFILE and AWS_ENDPOINT_URL.")
    if code.startswith(_REFUSED_CREDENTIALS):
        remedy = "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN or AWS_PROFILE"
        return UserError(f"{redact(uri)}: credentials refused ({redact(code)}, {status}) while {doing}. {remedy}.")
    if status == 405:
        remedy = "Is it the address of an S3 store? Check AWS_ENDPOINT_URL"
        return UserError(f"{redact(uri)}: the endpoint knows no such request (405) while {doing}. {remedy}.")
    if _is_foreign(error) and _name(error).startswith(_NO_CREDENTIALS):
        remedy = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; FSSPEC_S3_ANON=true if public"
        return UserError(f"{redact(uri)}: no usable credentials ({_name(error)}). {remedy}.")
    if isinstance(error, ValueError) and "endpoint" in str(error).lower():
        return UserError(f"{redact(uri)}: {_told(uri, str(error))}. AWS_ENDPOINT_URL must be a URL: http://host:port.")
    if _name(error) in ("ParamValidationError", "NoRegionError"):
        return UserError(f"{redact(uri)}: {' '.join(_told(uri, str(error)).split())}")
    return None


def _fault(uri: str, doing: str, error: BaseException) -> StorageFault:
    fault = StorageFault(f"{redact(uri)}: {_what(error)} while {doing}: {_told(uri, str(error))}")
    fault.answer, fault.broken = answer_of(error), is_broken(error)
    return _instead_of(error, fault, uri)


def _instead_of(error: BaseException, raised: E, uri: str) -> E:
    return with_causes(raised, error, functools.partial(_told, uri))


def _alone(uri: str, error: BaseException) -> BaseException:
    """An error about one object without its causes and without credentials."""
    kind = next(kind for kind in _PASSED if isinstance(error, kind))
    passed: BaseException = error
    if _told(uri, str(error)) != str(error):
        passed = kind(*(_told(uri, each) if isinstance(each, str) else each for each in error.args))
    return with_causes(passed, error.__cause__, functools.partial(_told, uri))


def _what(error: BaseException) -> str:
    code, status = answer_of(error)
    return redact(f"{code} ({status})") if status else _name(error)


def _name(error: BaseException) -> str:
    return type(error).__name__


def _foreign_roots() -> tuple[type[BaseException], ...]:
    """Give the error roots of the client libraries that are loaded; others cannot have raised."""
    loaded = ((sys.modules.get(module), name) for module, name in _FOREIGN_ROOTS)
    return tuple(getattr(module, name) for module, name in loaded if module is not None)


def _storage_errors() -> tuple[type[BaseException], ...]:
    return (OSError, EOFError, ValueError, *_foreign_roots())


def _is_foreign(error: BaseException) -> bool:
    return isinstance(error, _foreign_roots())


def _from_storage(error: BaseException) -> bool:
    return isinstance(error, OSError) or _is_foreign(error)
