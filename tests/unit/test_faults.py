"""boto3's errors in the words of this program: a table by code, status and type; and never a word of theirs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore import exceptions as boto
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from migrator.errors import (
    AccessDenied,
    AlreadyThere,
    BucketMissing,
    NotTheSame,
    StoreError,
    StoreFull,
    Unavailable,
    Vanished,
)
from migrator.stores.s3.faults import code_of, status_of, translate
from tests.servers import SECRET_MARK

WHERE = "s3://bucket/org/id"
THEIRS = f"text of the server with AKIAEXAMPLE and {SECRET_MARK}"


def answer(code: str, status: int, *, to: str = "PutObject", **headers: str) -> boto.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": THEIRS},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return boto.ClientError(response, to)


ANSWERS: list[tuple[str, int, type[StoreError], str]] = [
    ("NoSuchKey", 404, Vanished, "vanished"),
    ("404", 404, Vanished, "vanished"),
    ("NoSuchBucket", 404, BucketMissing, "bucket-missing"),
    ("NoSuchUpload", 404, StoreError, "server-refused"),
    ("AccessDenied", 403, AccessDenied, "access-denied"),
    ("403", 403, AccessDenied, "access-denied"),
    ("SomethingNew", 403, AccessDenied, "access-denied"),
    ("Unauthorized", 401, AccessDenied, "access-denied"),
    ("InvalidAccessKeyId", 403, AccessDenied, "credentials-refused"),
    ("SignatureDoesNotMatch", 403, AccessDenied, "credentials-refused"),
    ("ExpiredToken", 400, AccessDenied, "credentials-refused"),
    ("InvalidToken", 400, AccessDenied, "credentials-refused"),
    ("RequestTimeTooSkewed", 403, AccessDenied, "clock-skew"),
    ("PreconditionFailed", 412, AlreadyThere, "already-there"),
    ("412", 412, AlreadyThere, "already-there"),
    ("XMinioStorageFull", 507, StoreFull, "target-full"),
    ("QuotaExceeded", 403, StoreFull, "target-full"),
    ("507", 507, StoreFull, "target-full"),
    ("BadDigest", 400, NotTheSame, "damaged-on-the-way"),
    ("IncompleteBody", 400, NotTheSame, "damaged-on-the-way"),
    ("XAmzContentSHA256Mismatch", 400, NotTheSame, "damaged-on-the-way"),
    ("PermanentRedirect", 301, StoreError, "wrong-region"),
    ("301", 301, StoreError, "wrong-region"),
    ("AuthorizationHeaderMalformed", 400, StoreError, "wrong-region"),
    ("SlowDown", 503, Unavailable, "slow-down"),
    ("ThrottlingException", 400, Unavailable, "slow-down"),
    ("429", 429, Unavailable, "slow-down"),
    ("ServiceUnavailable", 503, Unavailable, "slow-down"),
    ("InternalError", 500, Unavailable, "server-failed"),
    ("502", 502, Unavailable, "server-failed"),
    ("504", 504, Unavailable, "server-failed"),
    ("OperationAborted", 409, Unavailable, "server-failed"),
    ("ConditionalRequestConflict", 409, Unavailable, "server-failed"),
    ("RequestTimeout", 400, Unavailable, "server-failed"),
    ("NotImplemented", 501, StoreError, "server-refused"),
    ("InvalidArgument", 400, StoreError, "server-refused"),
    ("", 0, StoreError, "server-refused"),
]


@pytest.mark.parametrize(("code", "status", "kind", "name"), ANSWERS)
def test_answers(code: str, status: int, kind: type[StoreError], name: str) -> None:
    error = answer(code, status)
    fault = translate(error, WHERE)
    assert (type(fault), fault.name) == (kind, name)
    assert WHERE in fault.what
    assert (code_of(error), status_of(error)) == (code, status)
    assert fault.temporary is (kind in (Unavailable, NotTheSame))


URL = f"https://user:{SECRET_MARK}@s3.example.org/b/k?X-Amz-Signature={SECRET_MARK}"
TRANSPORT: list[tuple[Exception, type[StoreError], str]] = [
    (boto.EndpointConnectionError(endpoint_url=URL), Unavailable, "unreachable"),
    (boto.ConnectTimeoutError(endpoint_url=URL), Unavailable, "unreachable"),
    (boto.ReadTimeoutError(endpoint_url=URL), Unavailable, "unreachable"),
    (boto.ConnectionClosedError(endpoint_url=URL), Unavailable, "unreachable"),
    (boto.ResponseStreamingError(error=THEIRS), Unavailable, "unreachable"),
    (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), Unavailable, "unreachable"),
    (boto.HTTPClientError(error=THEIRS), Unavailable, "unreachable"),
    (ProtocolError(THEIRS), Unavailable, "unreachable"),
    (ReadTimeoutError(None, URL, THEIRS), Unavailable, "unreachable"),  # type: ignore[arg-type]
    (HTTPError(THEIRS), Unavailable, "unreachable"),
    (ConnectionResetError(THEIRS), Unavailable, "unreachable"),
    (ValueError(THEIRS), Unavailable, "unreachable"),
    (boto.NoCredentialsError(), AccessDenied, "no-credentials"),
    (boto.PartialCredentialsError(provider="env", cred_var=SECRET_MARK), AccessDenied, "no-credentials"),
    (boto.CredentialRetrievalError(provider="x", error_msg=THEIRS), AccessDenied, "no-credentials"),
    (boto.SSLError(endpoint_url=URL, error=THEIRS), AccessDenied, "tls"),
    (boto.ParamValidationError(report=THEIRS), StoreError, "name-refused"),
    (RecursionError(THEIRS), StoreError, "wrong-region"),
]


@pytest.mark.parametrize(("error", "kind", "name"), TRANSPORT)
def test_transport(error: Exception, kind: type[StoreError], name: str) -> None:
    fault = translate(error, WHERE)
    assert (type(fault), fault.name) == (kind, name)
    assert (code_of(error), status_of(error)) == ("", 0)


EVERY = [answer(code, status) for code, status, _, _ in ANSWERS] + [error for error, _, _ in TRANSPORT]


@pytest.mark.parametrize("error", EVERY, ids=lambda error: f"{type(error).__name__}-{code_of(error)}")
def test_no_text_of_theirs_and_no_secret_is_told(error: Exception) -> None:
    told = str(translate(error, WHERE))
    assert SECRET_MARK not in told
    assert "text of the server" not in told
    assert "Amz-Signature" not in told
    assert "example.org" not in told
    assert "PutObject" not in told


def test_our_own_errors_stay_as_they_are() -> None:
    ours = NotTheSame("a-name", "What.")
    assert translate(ours, WHERE) is ours


def test_the_unknown_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        translate(ZeroDivisionError(), WHERE)


@pytest.mark.parametrize(
    ("date", "words"),
    [
        ("Fri, 02 Jan 2015 03:04:05 GMT", r"differ by \d+ seconds"),
        ("", r"differ\."),
        ("not a date", r"differ\."),
    ],
)
def test_clocks_that_differ(date: str, words: str) -> None:
    """The header is the server's, and may be anything."""
    headers = {"date": date} if date else {}
    fault = translate(answer("RequestTimeTooSkewed", 403, **headers), WHERE)
    assert fault.name == "clock-skew"
    assert re.search(words, fault.what)


@given(st.text(max_size=20), st.integers(0, 999))
def test_every_answer_becomes_an_error_of_ours(code: str, status: int) -> None:
    fault = translate(answer(code, status), WHERE)
    assert isinstance(fault, StoreError)
    assert THEIRS not in str(fault)


@pytest.mark.parametrize("call", ["ListBuckets", "ListObjectsV2", "CreateBucket"])
def test_who_does_not_know_a_listing_is_no_s3_server(call: str) -> None:
    """A web server at the endpoint answers 404 to everything: that says nothing about raw files."""
    found = translate(answer("404", 404, to=call), WHERE)
    assert not isinstance(found, Vanished)
    assert found.name == "not-s3"
    assert "AWS_ENDPOINT_URL" in found.cure
    assert isinstance(translate(answer("NoSuchBucket", 404, to=call), WHERE), BucketMissing)


@pytest.mark.parametrize("headers", [{"content-length": "250"}, {}])
def test_an_error_that_was_cut_on_the_way_says_nothing_of_the_server(headers: dict[str, str]) -> None:
    cut = answer("404", 404, to="ListObjectsV2", **{"content-type": "application/xml", **headers})
    found = translate(cut, WHERE)
    assert isinstance(found, Unavailable)
    assert found.name == "broken-off"
    empty = answer("404", 404, to="ListObjectsV2", **{"content-type": "application/xml", "content-length": "0"})
    assert translate(empty, WHERE).name == "not-s3"
    whole = answer("NoSuchPage", 404, to="ListObjectsV2", **{"content-type": "application/xml", **headers})
    assert translate(whole, WHERE).name == "not-s3", "it was read to its end: the code is the server's own"
