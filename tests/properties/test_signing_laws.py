"""The bulk lane's signer against botocore's, and against a server that checks signatures."""

from __future__ import annotations

import datetime
import hashlib
import urllib.parse
import urllib.request
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from migrator.stores.s3.boto3_clients import connect
from migrator.stores.s3.http.curl import SHA256_OF_NOTHING, CurlClient
from migrator.stores.s3.http.signing import UNSIGNED, Keys, Signer, encoded_key, encoded_query
from tests import strategies
from tests.backends import access_to
from tests.conftest import FreshNames
from tests.fakes import Clock
from tests.servers import S3Server

DAY = 86_400
_SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
_TOKENS = st.one_of(st.none(), st.text("abcXYZ019+/=", min_size=1, max_size=200))
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_QUERIES = st.dictionaries(
    st.sampled_from(["prefix", "continuation-token", "uploadId", "partNumber", "a-b", "a"]), _TEXT
)
_VALUES = st.text('abcABC019=/+"-,;:', min_size=1, max_size=40)
_MORE = st.dictionaries(
    st.sampled_from(["content-md5", "if-none-match", "if-match", "range", "x-amz-meta-a", "x-amz-acl", "zz"]), _VALUES
)
_MOMENTS = st.integers(0, 2**32)
_KEYS = st.one_of(strategies.any_text(), _TEXT).filter(lambda key: key.isprintable() and "\udcff" not in key)


def by_botocore(
    keys: Keys, region: str, seconds: float, method: str, url: str, payload: str, more: dict[str, str]
) -> dict[str, str]:
    """The headers that botocore's own signer makes of it, in lower case."""
    request = AWSRequest(method=method, url=url, headers=more)
    request.context["timestamp"] = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime(
        "%Y%m%dT%H%M%SZ"
    )
    auth = botocore.auth.S3SigV4Auth(Credentials(keys.access_key, keys.secret_key, keys.token), "s3", region)
    auth.payload = lambda _: payload  # type: ignore[method-assign]
    if keys.token:
        request.headers["X-Amz-Security-Token"] = keys.token
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    request.headers["X-Amz-Content-SHA256"] = payload
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    listed = auth.signed_headers(auth.headers_to_sign(request))
    scope = auth.scope(request)
    authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={listed}, Signature={signature}"
    return {**{name.lower(): value for name, value in request.headers.items()}, "authorization": authorization}


def as_dict(lines: list[str]) -> dict[str, str]:
    pairs = [line.split(": ", 1) for line in lines]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "POST", "DELETE"]),
    key=_KEYS,
    query=_QUERIES,
    more=_MORE,
    keys=st.builds(Keys, st.text("AKIA0123456789XYZ", min_size=3, max_size=20), _SECRETS, _TOKENS),
    region=st.sampled_from(["us-east-1", "eu-west-1", "cn-north-1", "garage"]),
    host=st.sampled_from(["127.0.0.1:8333", "bucket.s3.eu-west-1.amazonaws.com", "s3.example.org"]),
    payload=st.sampled_from([UNSIGNED, SHA256_OF_NOTHING, "0" * 64]),
    moments=st.lists(_MOMENTS, min_size=1, max_size=4),
)
@example(
    method="PUT",
    key="gemeente-éé/a b+c%20~*'()!",
    query={"prefix": "é +%"},
    more={},
    keys=Keys("AK", "SK", None),
    region="us-east-1",
    host="127.0.0.1:1",
    payload=UNSIGNED,
    moments=[DAY - 1, DAY, DAY + 1, DAY - 1],
)
def test_every_authorization_is_botocores(
    method: str,
    key: str,
    query: dict[str, str],
    more: dict[str, str],
    keys: Keys,
    region: str,
    host: str,
    payload: str,
    moments: list[int],
) -> None:
    """One signer through changing days, as a lane keeps one: what it caches never shows."""
    clock = Clock()
    signer = Signer(lambda: keys, region, clock)
    path, encoded = f"/bucket/{encoded_key(key)}", encoded_query(query)
    for moment in moments:
        clock.seconds = float(moment)
        lines = signer.headers(method, host, path, query=encoded, payload=payload, more=more)
        url = f"http://{host}{path}{'?' if encoded else ''}{encoded}"
        expected = by_botocore(keys, region, moment, method, url, payload, more)
        assert as_dict(lines) == {"host": host, **expected}  # botocore's is in the URL


def test_the_reference_is_what_botocore_sends(moto: S3Server, fresh_names: FreshNames) -> None:
    """`by_botocore` puts botocore's parts together by hand: the same as the client does."""
    client = moto.client()
    sent: list[Any] = []
    client.meta.events.register("before-send.s3.ListObjectsV2", lambda request, **_: sent.append(request))
    client.create_bucket(Bucket=fresh_names.bucket)
    client.list_objects_v2(Bucket=fresh_names.bucket, Prefix="é +")
    (request,) = sent
    parts = urllib.parse.urlsplit(request.url)
    query = dict(urllib.parse.parse_qsl(parts.query))
    moment = datetime.datetime.strptime(request.headers["X-Amz-Date"].decode(), "%Y%m%dT%H%M%SZ")
    clock = Clock(moment.replace(tzinfo=datetime.timezone.utc).timestamp())
    signer = Signer(lambda: Keys(moto.access_key, moto.secret_key, None), moto.region, clock)
    lines = signer.headers(
        "GET", parts.netloc, parts.path, query=encoded_query(query), payload=SHA256_OF_NOTHING, more={}
    )
    assert as_dict(lines)["authorization"] == request.headers["Authorization"].decode()


@pytest.mark.row(60)
@given(st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=12))
def test_keys_are_asked_for_anew_after_a_minute(steps: list[tuple[int, bool]]) -> None:
    """What is signed with was still valid within the last minute, and the token always belongs to the key."""
    clock = Clock()
    latest, outdated_at = Keys("AK", "SK", None), {}
    tokens = {latest.access_key: latest.token}
    signer = Signer(lambda: latest, "us-east-1", clock)
    for step, (seconds, changes) in enumerate(steps):
        clock.advance(seconds)
        if changes:
            outdated_at[latest.access_key] = clock.seconds
            latest = Keys(f"AK{step}", f"SK{step}", f"T{step}")
            tokens[latest.access_key] = latest.token
        headers = as_dict(signer.headers("GET", "h", "/", payload=SHA256_OF_NOTHING, more={}))
        used = headers["authorization"].partition("Credential=")[2].partition("/")[0]
        assert headers.get("x-amz-security-token") == tokens[used]
        assert clock.seconds - outdated_at.get(used, clock.seconds) < 60


@pytest.mark.row(32)
def test_a_clock_that_is_set_back_keeps_no_old_keys() -> None:
    clock = Clock()
    latest = Keys("AK1", "SK1", None)
    signer = Signer(lambda: latest, "us-east-1", clock)
    signer.headers("GET", "h", "/", payload=UNSIGNED, more={})
    latest = Keys("AK2", "SK2", None)
    clock.advance(-3600)
    assert "Credential=AK2/" in signer.headers("GET", "h", "/", payload=UNSIGNED, more={})[-1]


def test_within_a_minute_nobody_is_asked_for_keys() -> None:
    clock, asked = Clock(), []
    signer = Signer(lambda: asked.append(1) or Keys("AK", "SK", None), "us-east-1", clock)  # type: ignore[func-returns-value]
    for _ in range(59):
        signer.headers("GET", "h", "/", payload=UNSIGNED, more={})
        clock.advance(1)
    assert len(asked) == 1


def test_keys_do_not_show_what_they_are() -> None:
    keys = Keys("AKIAVISIBLE", "hidden-secret", "hidden-token")
    shown = f"{keys!r} {keys} {[keys]}"
    assert "hidden" not in shown
    assert "AKIA" not in shown
    signer = Signer(lambda: keys, "us-east-1")
    signer.headers("GET", "h", "/", payload=UNSIGNED, more={})
    assert "hidden" not in repr(signer)
    assert "hidden" not in repr(signer._day)


# --- a server that checks --------------------------------------------------------------------------------------------


def ask(url: str, method: str, lines: list[str], data: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data, as_dict(lines), method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize("organization", ["alpha", "gemeente-éé", "市", "a_b", "ｆｕｌｌ"])
def test_a_server_takes_what_is_signed_and_nothing_else(
    organization: str, weed: S3Server, fresh_names: FreshNames
) -> None:
    weed.client().create_bucket(Bucket=fresh_names.bucket)
    route = CurlClient(connect(access_to(weed))).route(fresh_names.bucket)
    key = f"{organization}/0b5d38aa-6a8f-4a40-8e43-2ed2dbb5b8f3"
    path = f"{route.base}{encoded_key(key)}"
    data = organization.encode()
    signer = Signer(lambda: Keys(weed.access_key, weed.secret_key, None), weed.region)
    forger = Signer(lambda: Keys(weed.access_key, weed.secret_key + "x", None), weed.region)

    forged = forger.headers("PUT", route.host, path, payload=UNSIGNED, more={})
    status, said = ask(f"{route.origin}{path}", "PUT", forged, data)
    assert (status, b"SignatureDoesNotMatch" in said) == (403, True)

    signed = signer.headers("PUT", route.host, path, payload=UNSIGNED, more={"if-none-match": "*"})
    assert ask(f"{route.origin}{path}", "PUT", signed, data)[0] == 200
    assert weed.client().get_object(Bucket=fresh_names.bucket, Key=key)["Body"].read() == data
    assert ask(f"{route.origin}{path}", "PUT", signed, b"other")[0] == 412

    etag = hashlib.md5(data).hexdigest()
    asked = signer.headers("GET", route.host, path, payload=SHA256_OF_NOTHING, more={"if-match": f'"{etag}"'})
    assert ask(f"{route.origin}{path}", "GET", asked) == (200, data)

    query = encoded_query({"list-type": "2", "prefix": f"{organization}/", "max-keys": "5"})
    listed = signer.headers("GET", route.host, route.base.rstrip("/"), query=query, payload=SHA256_OF_NOTHING, more={})
    status, body = ask(f"{route.origin}{route.base.rstrip('/')}?{query}", "GET", listed)
    assert (status, b"<KeyCount>1</KeyCount>" in body) == (200, True)
