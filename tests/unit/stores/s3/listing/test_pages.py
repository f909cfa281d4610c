"""Listings are guarded: whatever is not surely a page of the bucket that was asked is a failure, never an empty bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing

import pytest

from migrator.core.entities import Entry, RawFile, Shard
from migrator.core.errors import (
    AccessDenied,
    BucketMissing,
    MigratorError,
    MustStop,
    NotTheSame,
    StoreError,
    Unavailable,
)
from migrator.stores.s3.boto3_clients import connect
from migrator.stores.s3.http.curl import CurlClient, is_available
from migrator.stores.s3.listing.pages import Lister
from migrator.stores.s3.listing.xml import ListedObject
from migrator.stores.s3.parsing.etags import clean_etag
from migrator.stores.s3.source import S3Source
from migrator.transfer.retry import RetryPolicy
from tests.backends import raw_id
from tests.fakes import Clock, Waits, quick_patience
from tests.scripted import Asked, Reply, Script, Scripted, always, error, in_turn, page, scripted
from tests.servers import SECRET_MARK

MODIFIED = 1767323045 * 1_000_000_000
WAYS = ["boto3", "wire"] if is_available() else ["boto3"]
each_way = pytest.mark.parametrize("way", WAYS)


def listed(server: Scripted, way: str, *, seconds: float = 0, after: str = "") -> Iterator[ListedObject]:
    clock = Clock()
    patience = RetryPolicy(seconds=seconds, at_first=seconds, clock=clock, stopping=Waits(clock))
    connection = connect(server.location().access)
    wire = CurlClient(connection) if way == "wire" else None
    return Lister(connection.client, patience.run, wire).objects("bucket", "org/", after=after)


BROKEN: dict[str, Reply] = {
    "nothing": Reply(),
    "HTML": Reply(200, b"<html><body>Please log in</body></html>", {"Content-Type": "text/html"}),
    "JSON": Reply(200, b'{"Name": "bucket", "IsTruncated": false}'),
    "an empty listing without a name": Reply(200, b"<ListBucketResult></ListBucketResult>"),
    "another bucket": page("org/a", bucket="another"),
    "the list of buckets": Reply(200, b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"),
    "no word on whether it goes on": Reply(200, page("org/a").body.replace(b"<IsTruncated>false</IsTruncated>", b"")),
}


@each_way
@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_listing_is_a_failure(way: str, what: str) -> None:
    with scripted(always(BROKEN[what])) as server, pytest.raises((MustStop, Unavailable)) as caught:
        list(listed(server, way))
    assert caught.value.name in ("listing-broken", "server-failed")
    assert "bucket" in caught.value.what


@each_way
@pytest.mark.parametrize("what", BROKEN)
def test_on_a_later_page_too(way: str, what: str) -> None:
    found = []
    script = in_turn(page("org/a", "org/b", truncated="true", token="t1"), BROKEN[what])
    with scripted(script) as server, pytest.raises((MustStop, Unavailable)):
        found.extend(listed(server, way))
    assert len(found) <= 2


@each_way
def test_a_broken_page_that_passes_is_asked_for_again(way: str) -> None:
    script = in_turn(BROKEN["HTML"], BROKEN["HTML"], page("org/a"))
    with scripted(script) as server:
        assert [found.key for found in listed(server, way, seconds=60)] == ["org/a"]


@each_way
def test_pages_follow_each_other(way: str) -> None:
    script = in_turn(
        page("org/a", "org/b", truncated="true", token="t/1+="), page(truncated="true", token="t2"), page("org/c")
    )
    with scripted(script) as server:
        assert [found.key for found in listed(server, way)] == ["org/a", "org/b", "org/c"]
        tokens = ["continuation-token=t%2F1%2B%3D" in asked.path for asked in server.asked]
    assert tokens == [False, True, False]


@each_way
@pytest.mark.parametrize("token", ["", "same"])
def test_a_listing_that_goes_round_in_circles_is_a_failure(way: str, token: str) -> None:
    with scripted(always(page("org/a", truncated="true", token=token))) as server:
        with pytest.raises(StoreError) as caught:
            list(listed(server, way))
        assert caught.value.name == "listing-broken"
        assert len(server.asked) <= 4


@each_way
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(403, "AccessDenied"), AccessDenied),
        (error(404, "NoSuchBucket"), BucketMissing),
        (error(500, "InternalError"), MustStop),
        (error(501, "NotImplemented"), StoreError),
    ],
)
def test_errors_come_out_and_tell_no_secret(way: str, reply: Reply, kind: type[MigratorError]) -> None:
    with scripted(always(reply)) as server, pytest.raises(kind) as caught:
        list(listed(server, way))
    assert SECRET_MARK not in str(caught.value)
    assert "The server's words: 'text of the server'" in str(caught.value)


@each_way
def test_a_page_that_is_cut_off_is_a_failure(way: str) -> None:
    whole = page("org/a", "org/b")
    cut = Reply(200, whole.body, whole.headers, cut=len(whole.body) - 30)
    with scripted(always(cut)) as server, pytest.raises((MustStop, Unavailable)):
        list(listed(server, way))


@each_way
@pytest.mark.parametrize(
    ("etag", "expected"),
    [
        ("&quot;abc&quot;", "abc"),
        ("abc", "abc"),
        ("W/&quot;abc&quot;", "abc"),
        ("", None),
        ("&quot;&quot;", None),
        ("&#34;abc-2&#34;", "abc-2"),
    ],
)
def test_etags_are_taken_as_they_are_meant(way: str, etag: str, expected: str | None) -> None:
    with scripted(always(page("org/a", etag=etag))) as server:
        assert list(listed(server, way)) == [ListedObject("org/a", 3, expected, MODIFIED)]


@each_way
def test_a_listing_may_begin_after_a_key(way: str) -> None:
    with scripted(always(page("org/z"))) as server:
        list(listed(server, way, after="org/9~"))
        assert "start-after=org%2F9~" in server.asked[0].path
        assert "prefix=org%2F" in server.asked[0].path


@pytest.mark.timeout(60)
@pytest.mark.parametrize("length", [1, 2])
def test_strays_are_told_once_by_a_server_that_begins_every_listing_at_its_start(length: int) -> None:
    """One that does not know `start-after`: going on behind each kind of digits would come to the other kind for ever."""
    keys = ("org/!", f"org/{raw_id('00')}", "org/README", f"org/{raw_id('aa')}", "org/zzz")
    with scripted(always(page(*keys))) as server, closing(S3Source(server.location(), quick_patience())) as source:
        found: list[str] = []
        source.scan_strays("org", lambda notice: found.append(notice.where), length=length)
        assert found == ["s3://bucket/org/!", "s3://bucket/org/README", "s3://bucket/org/zzz"]


@pytest.mark.parametrize(("etag", "clean"), [(None, None), ('"a"', "a"), ('W/"a"', "a"), ("", None), ('""', None)])
def test_clean_etag(etag: str | None, clean: str | None) -> None:
    assert clean_etag(etag) == clean


def test_folders_and_keys_beside_them() -> None:
    body = page("README").body.replace(
        b"</ListBucketResult>", b"<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes></ListBucketResult>"
    )
    with scripted(always(Reply(200, body))) as server:
        client = connect(server.location().access).client
        found = list(Lister(client, quick_patience().run).folders("bucket"))
        assert found == [("a/", None), ("README", 3)]
        assert "delimiter=%2F" in server.asked[0].path


# --- how many raw files there are, told from one page ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "truncated", "length"),
    [
        ([raw_id(f"{number:04x}") for number in range(999)], "false", 0),
        ([raw_id(f"{number * 65:04x}") for number in range(1000)], "true", 0),
        ([raw_id(f"{number * 10:04x}") for number in range(1000)], "true", 1),
        ([raw_id(f"{number:04x}") for number in range(1000)], "true", 2),
        ([raw_id(f"0000{number:04x}") for number in range(1000)], "true", 3),
        ([f"README-{number:04}" for number in range(1000)], "true", 1),
    ],
)
def test_the_length_of_shards_is_told_from_one_page(keys: list[str], truncated: str, length: int) -> None:
    with scripted(
        always(page(*(f"org/{key}" for key in keys), truncated=truncated, token="t" * (truncated == "true")))
    ) as server:
        assert S3Source(server.location(), quick_patience()).shard_length("org") == length
        assert len(server.asked) == 1


# --- contents --------------------------------------------------------------------------------------------------------


def serving(body: bytes, etag: str, *cuts: int) -> Script:
    """Serves ranges, and breaks off each of the first answers after so many bytes."""

    def script(asked: Asked, number: int) -> Reply:
        if asked.method == "HEAD":
            return Reply(200, body, {"ETag": f'"{etag}"'})
        wanted = asked.headers.get("Range", "bytes=0-").removeprefix("bytes=")
        first, _, last = wanted.partition("-")
        start, end = int(first), int(last) + 1 if last else len(body)
        part = body[start : min(end, len(body))]
        headers = {"ETag": f'"{etag}"', "Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(body)}"}
        return Reply(
            206 if "Range" in asked.headers else 200, part, headers, cut=cuts[number] if number < len(cuts) else None
        )

    return script


def read_all(server: Scripted, size: int, etag: str) -> bytes:
    source = S3Source(server.location(), quick_patience())
    raw_file = RawFile("org", raw_id("0001"))
    with source.open(raw_file, Entry(raw_file.raw_id, size, etag)) as content:
        data = b"".join(iter(lambda: content.read(1000), b""))
        content.finish()
    return data


BODY = bytes(range(256)) * 40


def test_a_body_that_breaks_off_goes_on_where_it_was() -> None:
    etag = hashlib.md5(BODY).hexdigest()
    with scripted(serving(BODY, etag, 100, 5000, 0)) as server:
        assert read_all(server, len(BODY), etag) == BODY
        assert any("Range" in asked.headers for asked in server.asked)
        assert all(asked.headers.get("If-Match") == f'"{etag}"' for asked in server.asked if asked.method == "GET")


def test_content_that_is_not_what_its_etag_says_is_found_out() -> None:
    etag = "0" * 32
    with scripted(serving(BODY, etag)) as server, pytest.raises(NotTheSame):
        read_all(server, len(BODY), etag)


def test_content_with_an_opaque_etag_is_read_twice() -> None:
    with scripted(serving(BODY, "opaque")) as server:
        assert read_all(server, len(BODY), "opaque") == BODY
        assert len([asked for asked in server.asked if asked.method == "GET"]) == 2

    def unsteady(asked: Asked, number: int) -> Reply:
        return serving(BODY if number == 0 else BODY[::-1], "opaque")(asked, number)

    with scripted(unsteady) as server, pytest.raises(NotTheSame):
        read_all(server, len(BODY), "opaque")


def test_a_server_that_answers_another_range_is_not_believed() -> None:
    def script(asked: Asked, number: int) -> Reply:
        if "Range" not in asked.headers:
            return Reply(200, BODY, {"ETag": '"e"'}, cut=100)
        return Reply(206, BODY[500:], {"ETag": '"e"', "Content-Range": f"bytes 500-{len(BODY) - 1}/{len(BODY)}"})

    with scripted(script) as server, pytest.raises(MigratorError):
        read_all(server, len(BODY), "e")


def test_a_scan_that_is_given_up_leaves_nothing_waiting() -> None:
    keys = [f"org/{raw_id(f'{number:04x}')}" for number in range(1000)]
    pages = [page(*keys, truncated="true", token=f"t{number}") for number in range(50)]
    with scripted(in_turn(*pages)) as server:
        scan = S3Source(server.location(), quick_patience()).scan(Shard("org"), lambda notice: None)
        assert next(scan).raw_id == raw_id("0000")
        scan.close()  # type: ignore[attr-defined]
        assert len(server.asked) < 10
