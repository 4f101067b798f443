import errno

import pytest

from pipeline.errors import StorageFault, UserError
from pipeline.storage import retry


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
    monkeypatch.setattr(retry, "DELAYS", (0.001, 0.001))


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
        _answer("SlowDown", 503),
        _answer("InternalError", 500),
        _answer("", 429),
    ],
)
def test_transient_errors_are_tried_again_and_end_as_a_fault(error: OSError) -> None:
    assert retry.attempt("s3://b/x", "reading", Flaky(error, error)) == 7
    with pytest.raises(StorageFault, match="s3://b/x: .* while reading"):
        retry.attempt("s3://b/x", "reading", Flaky(error, error, error))


@pytest.mark.parametrize(
    "name", ["EndpointConnectionError", "ReadTimeoutError", "ConnectionClosedError", "ConnectTimeoutError"]
)
def test_errors_of_the_client_library_are_transient(name: str) -> None:
    import botocore.exceptions

    error = getattr(botocore.exceptions, name)(endpoint_url="http://x")
    assert retry.attempt("s3://b/x", "reading", Flaky(error)) == 7


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
