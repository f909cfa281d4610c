"""boto3's errors in the words of this program: a table by code, status and type, and the words of servers that have no code."""

from __future__ import annotations

import email.utils
import re
import socket
import ssl
import time
from typing import Any, cast

import pytest
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, ProxyError, ReadTimeoutError

from migrator.core.errors import (
    AccessDenied,
    AlreadyThere,
    Archived,
    BucketFull,
    BucketMissing,
    NotTheSame,
    StoreError,
    StoreFull,
    Unavailable,
    Vanished,
)
from migrator.stores.s3.errors.error_fields import BODY_SIZE, HOST_SENT, code_of, status_of
from migrator.stores.s3.errors.mapping import translate
from tests.servers import SECRET_MARK

WHERE = "s3://bucket/org/id"
THEIRS = "text of the server"


def answer(
    code: str, status: int, *, to: str = "PutObject", message: str = THEIRS, more: Any = None, **headers: str
) -> boto.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message, **(more or {})},
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
    ("InsufficientStorage", 400, StoreFull, "target-full"),
    ("QuotaExceeded", 403, BucketFull, "target-full"),
    ("XMinioAdminBucketQuotaExceeded", 400, BucketFull, "target-full"),
    ("TooManyBuckets", 400, StoreError, "too-many-buckets"),
    ("InvalidObjectState", 403, Archived, "archived"),
    ("ObjectNotInActiveTierError", 403, Archived, "archived"),
    ("AllAccessDisabled", 403, AccessDenied, "account-refused"),
    ("402", 402, AccessDenied, "account-refused"),
    ("407", 407, Unavailable, "proxy-refused"),
    ("MissingContentLength", 411, StoreError, "length-required"),
    ("413", 413, StoreError, "body-too-large"),
    ("EntityTooLarge", 400, StoreError, "body-too-large"),
    ("414", 414, StoreError, "address-too-long"),
    ("431", 431, StoreError, "headers-too-large"),
    ("408", 408, Unavailable, "server-failed"),
    ("425", 425, Unavailable, "server-failed"),
    *[(str(status), status, Unavailable, "server-failed") for status in (520, 521, 522, 523, 524, 525, 526, 530, 598)],
    ("529", 529, Unavailable, "slow-down"),
    ("509", 509, Unavailable, "slow-down"),
    ("TooManyRequests", 403, Unavailable, "slow-down"),
    ("TooManyRequestsException", 400, Unavailable, "slow-down"),
    ("SlowDownWrite", 503, Unavailable, "slow-down"),
    ("InternalError", 403, Unavailable, "server-failed"),
    ("505", 505, StoreError, "server-refused"),
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


WORDS: list[tuple[str, int, str, str, type[StoreError], str]] = [
    ("AccessDenied", 403, "PutObject", "Cannot upload files, storage cap exceeded.", StoreFull, "target-full"),
    (
        "AccessDenied",
        403,
        "GetObject",
        "Cannot download file, download bandwidth or transaction (Class B) cap exceeded.",
        StoreFull,
        "account-limit",
    ),
    ("AccessDenied", 403, "PutObject", "Transaction cap exceeded", StoreFull, "account-limit"),
    ("InvalidRequest", 400, "UploadPart", "Bucket quota exceeded", BucketFull, "target-full"),
    ("EntityTooLarge", 413, "PutObject", "Upload exceeds quota.", BucketFull, "target-full"),
    ("InternalError", 500, "PutObject", "No writable volumes", StoreFull, "target-full"),
    ("InternalError", 500, "CompleteMultipartUpload", "write /data: no space left on device", StoreFull, "target-full"),
    ("AccessDenied", 403, "GetObject", "Bucket quota exceeded", AccessDenied, "access-denied"),
    ("AccessDenied", 403, "PutObject", "User is not entitled", AccessDenied, "access-denied"),
    ("TooManyRequests", 429, "PutObject", "Request quota exceeded", Unavailable, "slow-down"),
    ("InvalidRequest", 400, "PutObject", "Quota of requests per minute exceeded", StoreError, "server-refused"),
    (
        "ServiceUnavailable",
        503,
        "PutObject",
        "storage is full of requests, please reduce your request rate",
        Unavailable,
        "slow-down",
    ),
]


@pytest.mark.parametrize(("code", "status", "call", "message", "kind", "name"), WORDS)
def test_words_count_where_a_server_has_no_code(
    code: str, status: int, call: str, message: str, kind: type[StoreError], name: str
) -> None:
    fault = translate(answer(code, status, to=call, message=message), WHERE)
    assert (type(fault), fault.name) == (kind, name)
    assert f"The server's words: '{message}'." in fault.what


URL = f"https://user:{SECRET_MARK}@s3.example.org/b/k?X-Amz-Signature={SECRET_MARK}"
PROXY = f"http://user:{SECRET_MARK}@proxy.example:3128"
REFUSED = NewConnectionError(cast("Any", None), "refused")
REFUSED.__cause__ = ConnectionRefusedError(111, "Connection refused")
UNKNOWN = NewConnectionError(cast("Any", None), "unknown")
UNKNOWN.__cause__ = socket.gaierror(-2, "Name or service not known")
TRANSPORT: list[tuple[Exception, type[StoreError], str]] = [
    (boto.EndpointConnectionError(endpoint_url=URL), Unavailable, "unreachable"),
    (boto.EndpointConnectionError(endpoint_url=URL, error=REFUSED), Unavailable, "connection-refused"),
    (boto.EndpointConnectionError(endpoint_url=URL, error=UNKNOWN), Unavailable, "host-not-found"),
    (boto.ProxyConnectionError(proxy_url=PROXY, error=ProxyError("no", REFUSED)), Unavailable, "proxy-refused"),
    (boto.ProxyConnectionError(proxy_url=PROXY, error=ProxyError("no", UNKNOWN)), Unavailable, "proxy-refused"),
    (boto.ConnectTimeoutError(endpoint_url=URL), Unavailable, "unreachable"),
    (boto.ReadTimeoutError(endpoint_url=URL), Unavailable, "unreachable"),
    (boto.ConnectionClosedError(endpoint_url=URL), Unavailable, "unreachable"),
    (boto.ResponseStreamingError(error=SECRET_MARK), Unavailable, "unreachable"),
    (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), Unavailable, "unreachable"),
    (boto.HTTPClientError(error=ConnectionResetError(SECRET_MARK)), Unavailable, "unreachable"),
    (boto.HTTPClientError(error=ValueError(f"Invalid header value {SECRET_MARK}")), StoreError, "boto3-refused"),
    (ProtocolError(SECRET_MARK), Unavailable, "unreachable"),
    (ReadTimeoutError(cast("Any", None), URL, SECRET_MARK), Unavailable, "unreachable"),
    (HTTPError(SECRET_MARK), Unavailable, "unreachable"),
    (ConnectionResetError(SECRET_MARK), Unavailable, "unreachable"),
    (ResponseParserError(SECRET_MARK), Unavailable, "broken-answer"),
    (ValueError(SECRET_MARK), StoreError, "boto3-refused"),
    (boto.NoCredentialsError(), AccessDenied, "no-credentials"),
    (
        boto.PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"),
        AccessDenied,
        "credentials-half-set",
    ),
    (
        boto.CredentialRetrievalError(provider="custom-process", error_msg=SECRET_MARK),
        AccessDenied,
        "credential-helper-failed",
    ),
    (boto.SSLError(endpoint_url=URL, error=SECRET_MARK), AccessDenied, "tls"),
    (boto.ParamValidationError(report=SECRET_MARK), StoreError, "name-refused"),
    (RecursionError(SECRET_MARK), StoreError, "wrong-region"),
]


@pytest.mark.parametrize(
    ("reason", "words"),
    [("WRONG_VERSION_NUMBER", "does not speak TLS"), ("TLSV1_ALERT_INTERNAL_ERROR", "or it speaks no TLS")],
)
def test_a_server_of_plain_http_is_told_from_one_with_another_certificate(reason: str, words: str) -> None:
    beneath = ssl.SSLError(1, SECRET_MARK)
    beneath.reason = reason
    fault = translate(boto.SSLError(endpoint_url=URL, error=beneath), WHERE)
    assert words in fault.what
    assert "http://" in fault.cure


@pytest.mark.parametrize(("error", "kind", "name"), TRANSPORT)
def test_transport(error: Exception, kind: type[StoreError], name: str) -> None:
    fault = translate(error, WHERE)
    assert (type(fault), fault.name) == (kind, name)
    assert (code_of(error), status_of(error)) == ("", 0)
    assert SECRET_MARK not in str(fault)
    assert "Amz-Signature" not in str(fault)
    assert "example.org" not in str(fault)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Storage cap exceeded.", "Storage cap exceeded."),
        ("two\nlines\tand \x1b[31mred\u202e", "two lines and \\x1b[31mred\\u202e"),
        ("x" * 20 + " word" * 100, "x" * 20 + (" word" * 100)[:279] + "…"),
        ("the key AKIAIOSFODNN7EXAMPLE is unknown", "the key … is unknown"),
        (f"signed {'a1' * 32} instead", "signed … instead"),
        ("at https://me:hidden@host/ now", "at https://…host/ now"),
        ("X-Amz-Signature=abc&x", "…&x"),
        ("org/11111111-2222-4333-8444-555566667777 is locked", "org/11111111-2222-4333-8444-555566667777 is locked"),
    ],
)
def test_the_servers_words_are_fit_to_be_shown(message: str, shown: str) -> None:
    fault = translate(answer("AccessDenied", 403, message=message), WHERE)
    assert fault.what.endswith(f"The server's words: '{shown}'.")
    assert len(shown) <= 300


@pytest.mark.parametrize(
    ("code", "message"), [("403", "Forbidden"), ("500", "Internal Server Error"), ("AccessDenied", "")]
)
def test_no_words_are_none(code: str, message: str) -> None:
    fault = translate(answer(code, int(code) if code.isdigit() else 403, message=message), WHERE)
    assert "words" not in fault.what


CANONICAL = "PUT\n/b/k\n\nhost:{}\nx-amz-date:1\n\nhost\nUNSIGNED-PAYLOAD"


@pytest.mark.parametrize(
    ("seen", "headers", "name", "told"),
    [
        ("127.0.0.1:9000", {}, "host-rewritten", "s3.example.org was signed, and 127.0.0.1:9000 arrived"),
        ("s3.example.org:443", {}, "host-rewritten", "s3.example.org:443 arrived"),
        ("s3.example.org", {}, "credentials-refused", "AWS_SECRET_ACCESS_KEY"),
        ("", {"server": "nginx/1.22"}, "credentials-refused", "names a proxy: Server: nginx/1.22"),
        ("", {"via": "1.1 varnish"}, "credentials-refused", "names a proxy: Via: 1.1 varnish"),
        ("", {"server": "MinIO"}, "credentials-refused", "a proxy changed what was signed"),
        ("", {"date": "Fri, 02 Jan 2015 03:04:05 GMT"}, "clock-skew", "seconds"),
    ],
)
def test_a_signature_that_does_not_match(seen: str, headers: dict[str, str], name: str, told: str) -> None:
    """Proxy, port, clock or key: what the evidence shows, and no more."""
    more = {"CanonicalRequest": CANONICAL.format(seen)} if seen else {}
    error = answer("SignatureDoesNotMatch", 403, more=more, **headers)
    error.response["ResponseMetadata"][HOST_SENT] = "s3.example.org"  # type: ignore[typeddict-unknown-key]
    fault = translate(error, WHERE)
    assert fault.name == name
    assert told in str(fault)


@pytest.mark.parametrize("code", ["AccessDenied", "403", "SignatureDoesNotMatch"])
@pytest.mark.parametrize(("ahead", "is_skew"), [(-3600, True), (1200, True), (-600, False), (0, False)])
def test_clocks_that_are_too_far_apart_explain_every_refusal(code: str, ahead: float, is_skew: bool) -> None:
    date = email.utils.formatdate(time.time() + ahead, usegmt=True)
    assert (translate(answer(code, 403, date=date), WHERE).name == "clock-skew") is is_skew


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"server": "nginx/1.22.1"}, "The answer is of nginx' client_max_body_size"),
        ({"server": "cloudflare"}, "Cloudflare"),
        ({"server": "Apache/2.4"}, "LimitRequestBody"),
        ({}, "client_max_body_size"),
    ],
)
def test_a_body_that_is_too_large_names_the_limit_and_what_would_pass(headers: dict[str, str], told: str) -> None:
    error = answer("413", 413, message="Request Entity Too Large", **headers)
    error.response["ResponseMetadata"][BODY_SIZE] = 8 << 20  # type: ignore[typeddict-unknown-key]
    fault = translate(error, WHERE)
    assert told in fault.why
    assert "8,388,608 bytes" in fault.what
    assert "16 MiB" in fault.cure
    assert "parts of 8 MiB" in fault.cure


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_web_page_is_a_proxys_refusal_and_no_right_of_s3(status: int) -> None:
    page = answer(str(status), status, message="Forbidden", **{"content-type": "text/html", "server": "waf"})
    fault = translate(page, WHERE)
    assert fault.name == "proxy-refused"
    assert "waf" in fault.what
    head = answer(str(status), status, message="Forbidden")
    assert translate(head, WHERE).name == ("server-refused" if status == 400 else "access-denied")


def test_the_bucket_that_was_asked_is_told() -> None:
    assert translate(answer("AccessDenied", 403), WHERE).bucket == "bucket"
    assert translate(answer("AccessDenied", 403), "http://server").bucket == ""


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


@given(st.text(max_size=20), st.integers(0, 999), st.text(max_size=400))
def test_every_answer_becomes_an_error_of_ours(code: str, status: int, message: str) -> None:
    fault = translate(answer(code, status, message=message), WHERE)
    assert isinstance(fault, StoreError)


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
