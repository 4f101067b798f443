import contextlib
import contextvars
import errno
import pickle
import socket
import ssl
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from pipeline.errors import StorageFault, UserError
from pipeline.storage import retry
from tests.hurry import hurry


class Flaky:
    """Fails with the given errors, one a call, then gives 7."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)

    def __call__(self) -> int:
        if self.errors:
            raise self.errors.pop(0)
        return 7


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def _answer(code: str, status: int) -> OSError:
    from botocore.exceptions import ClientError

    error = OSError(errno.EIO, "translated")
    error.__cause__ = ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject"
    )
    return error


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError("slow"),
        ConnectionResetError("reset"),
        OSError(errno.ESTALE, "Stale file handle"),
        _answer("InternalError", 500),
        _answer("ConditionalRequestConflict", 409),
    ],
)
def test_transient_errors_are_tried_again_and_end_as_a_fault(error: OSError) -> None:
    assert retry.attempt("s3://b/x", "reading", Flaky(error, error)) == 7
    with pytest.raises(StorageFault, match="s3://b/x: .* while reading"):
        retry.attempt("s3://b/x", "reading", Flaky(error, error, error))


def test_every_answer_is_told_and_silence_is_not() -> None:
    told: list[str] = []

    def ask(*errors: BaseException) -> int:
        retry.tell_answers(lambda: told.append("answer"))
        with contextlib.suppress(StorageFault, FileNotFoundError):
            retry.attempt("s3://b/x", "reading", Flaky(*errors))
        told.append("end")
        return told.index("end")

    in_a_thread = contextvars.copy_context()
    assert in_a_thread.run(ask, _answer("SlowDown", 503), _answer("InternalError", 500)) == 3
    told.clear()
    assert in_a_thread.run(ask, TimeoutError(), ConnectionResetError()) == 1


@pytest.mark.parametrize(
    "name", ["EndpointConnectionError", "ReadTimeoutError", "ConnectionClosedError", "ConnectTimeoutError"]
)
def test_errors_of_the_client_library_are_transient(name: str) -> None:
    import botocore.exceptions

    error = getattr(botocore.exceptions, name)(endpoint_url="http://x")
    assert retry.attempt("s3://b/x", "reading", Flaky(error)) == 7


def _policies(node: Any) -> Iterator[tuple[str, int]]:
    """Code and status of each answer that botocore's older retries are for."""
    if isinstance(node, dict):
        if "http_status_code" in node:
            yield node.get("service_error_code", ""), node["http_status_code"]
        for each in node.values():
            yield from _policies(each)


def test_what_the_client_libraries_would_try_again_is_transient() -> None:
    from botocore.loaders import Loader
    from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

    throttled = [(code, 400) for code in ThrottledRetryableChecker._THROTTLED_ERROR_CODES]
    broken = [(code, 400) for code in TransientRetryableChecker._TRANSIENT_ERROR_CODES]
    broken += [("", status) for status in TransientRetryableChecker._TRANSIENT_STATUS_CODES]
    broken += [("XAmzContentSHA256Mismatch", 400), ("IncompleteBody", 400), *_policies(Loader().load_data("_retry"))]
    assert ("BadDigest", 400) in broken
    assert [each for each in throttled if not retry.is_throttling(_answer(*each))] == []
    assert [each for each in throttled + broken if not retry.is_transient(_answer(*each))] == []


@pytest.mark.parametrize(
    "error", [_answer("InvalidRequest", 400), OSError(errno.EINVAL, "no"), OSError(errno.ENOSPC, "full")]
)
def test_other_answers_of_storage_are_faults_at_once(error: OSError) -> None:
    with pytest.raises(StorageFault, match="while writing"):
        retry.attempt("s3://b/x", "writing", Flaky(error))


@pytest.mark.parametrize("kind", [FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, EOFError])
def test_what_is_said_about_one_object_passes(kind: type[Exception]) -> None:
    with pytest.raises(kind, match="x"):
        retry.attempt("s3://b/x", "reading", Flaky(kind("x")))


def test_bugs_pass() -> None:
    with pytest.raises(ValueError, match="a bug"):
        retry.attempt("s3://b/x", "reading", Flaky(ValueError("a bug")))


def test_hasty_tries_twice() -> None:
    with retry.hasty(), pytest.raises(StorageFault, match="TimeoutError"):
        retry.attempt("s3://b/x", "reading", Flaky(TimeoutError(), TimeoutError()))


def test_denied_names_the_permission_or_the_mode() -> None:
    assert "s3:GetObject is needed" in str(retry.denied("s3://b/x", "reading", "s3:GetObject"))
    assert "Check owner and mode" in str(retry.denied("file:///x", "reading", "s3:GetObject"))
    assert isinstance(retry.denied("/x", "reading", ""), UserError)


def test_what_cannot_be_done_again_fails_with_the_same_meaning() -> None:
    with (
        pytest.raises(StorageFault, match="s3://b/x: TimeoutError while reading: slow"),
        retry.translated("s3://b/x", "reading"),
    ):
        raise TimeoutError("slow")
    with pytest.raises(ValueError, match="a bug"), retry.translated("s3://b/x", "reading"):
        raise ValueError("a bug")


def test_a_client_that_quotes_the_credentials_of_a_uri_is_not_repeated() -> None:
    with pytest.raises(StorageFault) as caught:
        retry.attempt("s3://key:geheim@b/x", "reading", Flaky(OSError(errno.EINVAL, "bad bucket key:geheim@b")))
    assert "geheim" not in str(caught.value)
    assert "bad bucket ***@b" in str(caught.value)


def test_advice_about_the_endpoint_is_for_remote_storage() -> None:
    advised = retry.unreachable(StorageFault("s3://b/x: TimeoutError while looking"))
    assert isinstance(advised, UserError)
    assert "Check AWS_ENDPOINT_URL" in str(advised)
    for place in ("/disk/x", "file:///disk/x"):
        own = retry.unreachable(StorageFault(f"{place}: no space left on the disk"))
        assert isinstance(own, StorageFault)
        assert str(own) == f"{place}: no space left on the disk"


def _because(error: BaseException, cause: BaseException) -> BaseException:
    error.__context__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError("slow"), StorageFault),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), StorageFault),
        (_because(OSError("no connection"), ConnectionResetError("reset")), StorageFault),
        (ReadTimeoutError(endpoint_url="http://x", error="slow"), StorageFault),
        (_because(OSError("no connection"), socket.gaierror(socket.EAI_AGAIN, "ask later")), StorageFault),
        (_because(ConnectionError("none"), socket.gaierror(socket.EAI_NONAME, "no such name")), UserError),
        (_because(OSError("no connection"), ssl.SSLError(1, "wrong version")), UserError),
        (_answer("BadRequest", 400), UserError),
        (_answer("InternalError", 500), StorageFault),
    ],
)
def test_what_breaks_before_any_work_may_hold_a_little_later(error: BaseException, kind: type[Exception]) -> None:
    with pytest.raises(StorageFault) as caught, retry.at_once():
        retry.attempt("s3://b/x", "looking", Flaky(error, error))
    sent = pickle.loads(pickle.dumps(caught.value))
    assert type(retry.unreachable(sent)) is kind
    assert ("Check AWS_ENDPOINT_URL and the network" in str(retry.unreachable(sent))) is (
        not retry.answer_of(sent)[1] or kind is UserError
    )


class Clock:
    """Stands still while nobody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def waited(self, seconds: float) -> bool:
        self.now += seconds
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the retries, at their usual patience."""
    clock = Clock()
    monkeypatch.undo()
    monkeypatch.setattr(retry, "stopping", clock)
    return clock


THROTTLED = [("SlowDown", 503), ("503", 503), ("TooManyRequests", 429), ("ThrottlingException", 400)]


@pytest.mark.parametrize(("code", "status"), THROTTLED)
def test_throttling_slows_down_for_ten_minutes_before_it_is_a_fault(code: str, status: int, clock: Clock) -> None:
    with pytest.raises(StorageFault, match=rf"{code} \({status}\) while writing"):
        retry.attempt("s3://b/x", "writing", Flaky(*[_answer(code, status)] * 10_000))
    assert 600 <= clock.now <= 630


def test_a_store_that_recovers_after_minutes_is_no_fault(clock: Clock) -> None:
    def call() -> int:
        if clock.now < 300:
            raise _answer("SlowDown", 503)
        return 7

    assert retry.attempt("s3://b/x", "writing", call) == 7


def test_what_breaks_is_given_up_sooner_and_throttling_in_between_does_not_count(clock: Clock) -> None:
    errors = [_answer("SlowDown", 503), ConnectionResetError()] * 5
    assert retry.attempt("s3://b/x", "reading", Flaky(*errors)) == 7
    clock.now = 0.0
    with pytest.raises(StorageFault, match="ConnectionResetError"):
        retry.attempt("s3://b/x", "reading", Flaky(*[ConnectionResetError()] * 6))
    assert 16 <= clock.now <= 48


def test_in_haste_too_a_store_that_asks_for_time_is_waited_for(clock: Clock) -> None:
    with retry.hasty():
        assert retry.attempt("s3://b/x", "listing", Flaky(*[_answer("SlowDown", 503)] * 10)) == 7
    assert clock.now > 1


def test_throttling_too_is_told_at_once_where_that_is_asked_for(clock: Clock) -> None:
    with retry.at_once(), pytest.raises(StorageFault, match="SlowDown"):
        retry.attempt("s3://b/x", "listing", Flaky(*[_answer("SlowDown", 503)] * 2))
    assert clock.now < 1


def test_an_endpoint_that_knows_no_such_request_is_not_told_as_a_refusal() -> None:
    error = PermissionError(errno.EPERM, "Method Not Allowed")
    error.__cause__ = _answer("405", 405).__cause__
    with pytest.raises(UserError, match=r"s3://b/x: .*\(405\) while writing\. .*AWS_ENDPOINT_URL"):
        retry.attempt("s3://b/x", "writing", Flaky(error))


SECRET = "geheim/wJalrXUtnFEMI+K7MDENG"


def _quoting(kind: type[OSError] = OSError, code: str = "Odd", status: int = 400, *, implied: bool = False) -> OSError:
    """What s3fs makes of an answer that quotes a key, of which it names the answer as the cause."""
    from botocore.exceptions import ClientError

    answer = {
        "Error": {"Code": code, "Message": f"not {SECRET}"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    error = kind(errno.EIO, f"no {SECRET} is known")
    if implied:
        error.__context__ = ClientError(answer, "GetObject")
    else:
        error.__cause__ = ClientError(answer, "GetObject")
    return error


def _translated(error: OSError) -> None:
    with retry.translated("s3://b/x", "reading"):
        raise error


QUOTING = [
    (_quoting(), StorageFault),
    (_quoting(TimeoutError, "InternalError", 500), StorageFault),
    (_quoting(implied=True), StorageFault),
    (_quoting(PermissionError, "SignatureDoesNotMatch", 403), UserError),
    (_quoting(PermissionError, "NoSuchBucket", 404), UserError),
    (_quoting(PermissionError, "405", 405), UserError),
    (_quoting(PermissionError, "AccessDenied", 403), PermissionError),
    (_quoting(FileNotFoundError, "NoSuchKey", 404), FileNotFoundError),
    (_quoting(FileNotFoundError, "NoSuchKey", 404, implied=True), FileNotFoundError),
    (OSError(errno.ENAMETOOLONG, f"too long: {SECRET}"), FileNotFoundError),
]


@pytest.mark.parametrize(("error", "becomes"), QUOTING)
@pytest.mark.parametrize("once", [False, True])
def test_a_traceback_has_no_secret_that_a_store_quotes(
    error: OSError, becomes: type[Exception], once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with pytest.raises(becomes) as caught:
        _translated(error) if once else retry.attempt("s3://b/x", "reading", Flaky(*[error] * 3))
    trace = "".join(traceback.format_exception(caught.value))
    assert SECRET not in trace
    assert "***" in trace


def test_what_a_client_says_stays_with_the_error_that_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with pytest.raises(UserError) as caught:
        retry.attempt("s3://b/x", "reading", Flaky(_quoting(PermissionError, "SignatureDoesNotMatch", 403)))
    assert caught.value.__notes__ == [
        "because of PermissionError: [Errno 5] no *** is known",
        "because of ClientError: An error occurred (SignatureDoesNotMatch) when calling the GetObject operation: "
        "not ***",
    ]
    with pytest.raises(PermissionError, match=r"no \*\*\* is known") as passed:
        retry.attempt("s3://b/x", "reading", Flaky(_quoting(PermissionError, "AccessDenied", 403)))
    assert passed.value.errno == errno.EIO
    assert ["AccessDenied" in note for note in passed.value.__notes__] == [True]


def test_an_error_that_is_a_cause_of_itself_is_told_once() -> None:
    first, second = PermissionError(errno.EIO, "first"), OSError(errno.EIO, "second")
    first.__cause__, second.__cause__ = second, first
    with pytest.raises(PermissionError) as caught:
        retry.attempt("s3://b/x", "reading", Flaky(first))
    assert caught.value.__notes__ == [
        "because of OSError: [Errno 5] second", "because of PermissionError: [Errno 5] first",
    ]  # fmt: skip


def test_few_of_many_causes_are_told() -> None:
    error = PermissionError(errno.EIO, "first")
    above: BaseException = error
    for number in range(50):
        above.__cause__ = OSError(errno.EIO, f"number {number}")
        above = above.__cause__
    with pytest.raises(PermissionError) as caught:
        retry.attempt("s3://b/x", "reading", Flaky(error))
    assert len(caught.value.__notes__) == 10


def test_a_missing_file_has_its_text_masked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    masked = []
    monkeypatch.setattr(retry, "redact", lambda text: masked.append(text) or text)
    with pytest.raises(FileNotFoundError):
        retry.attempt("s3://b/x", "reading", Flaky(FileNotFoundError(errno.ENOENT, "none", "b/x")))
    assert masked == ["[Errno 2] none: 'b/x'"]


def test_what_a_store_answered_is_known_of_a_fault_that_is_sent_to_another_process() -> None:
    with pytest.raises(StorageFault) as caught:
        retry.attempt("s3://b/x", "reading", Flaky(*[_answer("InternalError", 500)] * 3))
    sent = pickle.loads(pickle.dumps(caught.value))
    assert retry.answer_of(sent) == ("InternalError", 500)
    assert isinstance(retry.unreachable(sent), StorageFault)
    assert retry.answer_of(retry.unreachable(sent)) == ("InternalError", 500)
