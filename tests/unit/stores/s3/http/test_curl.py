"""libcurl reaches servers exactly as boto3 does: same host and path, same region, same proxies, same trust."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.httpsession
import pytest
from s3transfer.utils import ReadFileChunk

from migrator.config.locations import S3Access, Secret
from migrator.core.errors import SettingsError
from migrator.stores.s3.boto3_clients import Connection, connect
from migrator.stores.s3.http.curl import CurlClient, HttpResponse
from migrator.stores.s3.http.file_body import body_of
from migrator.stores.s3.http.signing import encoded_query
from tests.scripted import Asked, Reply, always, error, page, scripted

QUERY = {"list-type": "2", "prefix": "alpha/é +", "max-keys": "1000", "encoding-type": "url"}


class Caught(Exception):
    """Carries a request that was not sent."""


def opened(endpoint_url: str | None = None, region: str | None = "us-east-1", **more: Any) -> Connection:
    keys = {"access_key_id": "AKWIRE", "secret_access_key": Secret("SKWIRE"), **more}
    return connect(S3Access(endpoint_url=endpoint_url, region=region, **keys))


def sent_by_boto3(connection: Connection, bucket: str) -> Any:
    """The request for an object as boto3 would send it."""

    def catch(request: Any, **_: Any) -> None:
        raise Caught(request)

    connection.client.meta.events.register("before-send.s3.GetObject", catch)
    with pytest.raises(Caught) as caught:
        connection.client.get_object(Bucket=bucket, Key="k")
    return caught.value.args[0]


@pytest.mark.parametrize(
    "endpoint_url",
    [
        None,
        "http://127.0.0.1:8333",
        "https://s3.example.org:443/base/",
        "http://[::1]:9000",
    ],
)
@pytest.mark.parametrize("region", [None, "us-east-1", "eu-west-1", "cn-north-1", "garage"])
def test_objects_are_asked_for_where_boto3_asks_for_them(region: str | None, endpoint_url: str | None) -> None:
    connection = opened(endpoint_url, region)
    wire = CurlClient(connection)
    for bucket in ("bucket", "buc.ket", "OpenKAT"):
        route = wire.route(bucket)
        expected = sent_by_boto3(connection, bucket)
        assert f"{route.origin}{route.base}k" == expected.url
        line = wire.signer(route).headers("GET", route.host, f"{route.base}k", payload="UNSIGNED-PAYLOAD", more={})[-1]
        scope = line.partition("Credential=")[2].partition(",")[0].split("/")[2:]
        assert "/".join(scope) in expected.headers["Authorization"].decode()


def test_a_custom_endpoint_has_the_bucket_in_the_path_and_aws_in_the_name() -> None:
    assert CurlClient(opened("http://127.0.0.1:8333")).route("bucket") == (
        "http://127.0.0.1:8333",
        "127.0.0.1:8333",
        "/bucket/",
        "us-east-1",
    )
    route = CurlClient(opened(region="eu-west-1")).route("bucket")
    assert route.host.startswith("bucket.s3.")
    assert route.base == "/"


def test_without_credentials_there_is_no_route() -> None:
    with pytest.raises(SettingsError) as refused:
        CurlClient(opened("http://127.0.0.1:1", access_key_id=None, secret_access_key=None)).route("bucket")
    assert refused.value.name == "no-credentials"


def body(data: bytes) -> ReadFileChunk:
    return body_of(io.BytesIO(data), len(data))


def of_interest(asked: Asked) -> dict[str, str]:
    return {name.lower(): value for name, value in asked.headers.items() if name.lower() != "user-agent"}


def test_requests_carry_what_they_should_and_nothing_of_curls_own() -> None:
    with scripted(always(page("alpha/a"))) as server:
        wire = CurlClient(connect(server.location().access))
        answer = wire.list_page("bucket", QUERY)
        assert answer is not None
        assert answer.status == 200
        wire.get_range("bucket", "alpha/é +", 5, memoryview(bytearray(10)), "etag")
        wire.put_part("bucket", "alpha/a", {"partNumber": "1", "uploadId": "u/ +"}, body(b"part"), b"0123456789abcdef")
        wire.list_page("bucket", QUERY)
    listed, ranged, part, again = server.asked
    assert (listed.method, listed.path, listed.body) == ("GET", f"/bucket?{encoded_query(QUERY)}", b"")
    assert (ranged.method, ranged.path) == ("GET", "/bucket/alpha/%C3%A9%20%2B")
    assert (part.method, part.path, part.body) == ("PUT", "/bucket/alpha/a?partNumber=1&uploadId=u%2F%20%2B", b"part")
    assert (again.method, again.body) == ("GET", b""), "a handle that has sent a body asks without one again"
    signed = {"host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "authorization"}
    assert set(of_interest(listed)) == set(of_interest(again)) == signed
    assert set(of_interest(ranged)) == signed | {"range", "if-match"}
    assert set(of_interest(part)) == signed | {"content-md5", "content-length"}
    assert (of_interest(ranged)["range"], of_interest(ranged)["if-match"]) == ("bytes=5-14", '"etag"')


def test_the_host_is_the_one_that_boto3_sends() -> None:
    """libcurl writes 127.0.0.1 for 127.1: a server that takes hosts for buckets saw another place than by boto3."""
    with scripted(always(page("alpha/a"))) as server:
        port = server.url.rpartition(":")[2]
        access = replace(server.location().access, endpoint_url=f"http://127.1:{port}")
        CurlClient(connect(access)).list_page("bucket", QUERY)
    [listed] = server.asked
    assert [value for name, value in listed.headers.items() if name.lower() == "host"] == [f"127.1:{port}"]


def test_an_answer_is_told_whatever_its_status_and_none_without_one() -> None:
    with scripted(always(error(503, "SlowDown"))) as server:
        wire = CurlClient(connect(server.location().access))
        answer = wire.list_page("bucket", QUERY)
        assert answer is not None
        assert (answer.status, b"SlowDown" in answer.body) == (503, True)
    assert CurlClient(opened("http://127.0.0.1:1")).list_page("bucket", QUERY) is None, "nobody is there"
    with scripted(always(Reply(200, b"x" * 100, cut=50))) as server:
        assert CurlClient(connect(server.location().access)).list_page("bucket", QUERY) is None, (
            "half a body is no answer"
        )


@pytest.mark.parametrize(("body", "is_taken"), [(b"0123456789", True), (b"012345678", False), (b"0123456789a", False)])
def test_a_range_fills_what_it_is_given_or_is_no_answer(body: bytes, is_taken: bool) -> None:
    part = bytearray(b"-" * 12)
    with scripted(always(Reply(206, body))) as server:
        wire = CurlClient(connect(server.location().access))
        answer = wire.get_range("bucket", "alpha/a", 0, memoryview(part)[:10], None)
    assert (answer is not None) == is_taken
    assert not is_taken or part[:10] == body
    assert part[10:] == b"--", "nothing is written beyond it"


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    with scripted(always(Reply())) as elsewhere:
        with scripted(always(Reply(307, b"", {"Location": elsewhere.url}))) as server:
            answer = CurlClient(connect(server.location().access)).list_page("bucket", QUERY)
        assert answer is not None
        assert answer.status == 307
        assert elsewhere.asked == []


def test_the_last_header_of_a_name_counts() -> None:
    headers = b'HTTP/1.1 100 Continue\r\nETag: "no"\r\n\r\nHTTP/1.1 200 OK\r\netag:  "yes" \r\nX-ETag: other\r\n\r\n'
    assert HttpResponse(200, headers, b"").header("ETag") == '"yes"'
    assert HttpResponse(200, headers, b"").header("Content-Range") is None


# --- proxies ---------------------------------------------------------------------------------------------------------

PROXIES = {
    "http_proxy": {"http_proxy": "{proxy}"},
    "HTTP_PROXY": {"HTTP_PROXY": "{proxy}"},
    "no_proxy of another host": {"http_proxy": "{proxy}", "no_proxy": "other.example.org"},
    "no_proxy": {"http_proxy": "{proxy}", "no_proxy": "127.0.0.1"},
    "no_proxy of a network": {"http_proxy": "{proxy}", "no_proxy": "127.0.0.0/8"},
    "no_proxy of all": {"http_proxy": "{proxy}", "no_proxy": "*"},
    "for https only": {"https_proxy": "{proxy}"},
    "all_proxy": {"all_proxy": "{proxy}"},
    "none": {},
}


@pytest.mark.parametrize("variables", PROXIES.values(), ids=PROXIES.keys())
def test_proxies_are_used_when_boto3_uses_them(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(always(page("k"))) as proxy, scripted(always(page("k"))) as server:
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(proxy=proxy.url))
        connection = connect(server.location().access)
        connection.client.list_objects_v2(Bucket="bucket")
        through = len(proxy.asked)
        assert through + len(server.asked) == 1
        assert CurlClient(connection).list_page("bucket", QUERY) is not None
        assert (len(proxy.asked), len(server.asked)) == (2 * through, 2 * (1 - through))
        if through:
            assert proxy.asked[1].path.startswith(server.url)


# --- trust -----------------------------------------------------------------------------------------------------------


def test_certificates_are_those_that_boto3_trusts(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = tmp_path / "ours.pem"
    ours.write_bytes(Path(botocore.httpsession.get_cert_path(True)).read_bytes())
    assert CurlClient(opened("https://127.0.0.1:1"))._ca_bundle == botocore.httpsession.get_cert_path(True)
    assert CurlClient(opened("https://127.0.0.1:1", ca_bundle=str(ours)))._ca_bundle == str(ours)
    config = tmp_path / "config"
    config.write_text(f"[profile bundled]\nca_bundle = {ours}\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with_profile = opened("https://127.0.0.1:1", region=None, profile="bundled", config_file=str(config))
    assert CurlClient(with_profile)._ca_bundle == str(ours)
