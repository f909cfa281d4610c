"""Listings that contradict themselves: asked for once more, then refused. Tokens are followed everywhere, repeated names are told once."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from migrator.config.locations import S3Location
from migrator.core.entities import Shard
from migrator.core.errors import StoreError
from migrator.core.naming import BucketPerOrganization
from migrator.core.notices import Notice
from migrator.stores.s3.boto3_clients import connect
from migrator.stores.s3.http.curl import CurlClient, is_available
from migrator.stores.s3.listing.pages import Lister
from migrator.stores.s3.source import S3Source
from tests.backends import raw_id
from tests.fakes import quick_patience
from tests.scripted import Asked, Reply, Script, Scripted, always, error, in_turn, page, scripted

WAYS = ["boto3", "wire"] if is_available() else ["boto3"]
each_way = pytest.mark.parametrize("way", WAYS)
Edit = Callable[[Reply], Reply]


def lister(server: Scripted, way: str) -> Lister:
    connection = connect(server.location().access)
    return Lister(connection.client, quick_patience().run, CurlClient(connection) if way == "wire" else None)


def keys_of(server: Scripted, way: str, prefix: str = "org/") -> list[str]:
    return [one.key for one in lister(server, way).objects("bucket", prefix)]


def told(reply: Reply, old: str, new: str) -> Reply:
    assert old.encode() in reply.body
    return Reply(reply.status, reply.body.replace(old.encode(), new.encode()), reply.headers)


def counting(reply: Reply, number: int) -> Reply:
    count = reply.body.partition(b"<KeyCount>")[2].partition(b"<")[0].decode()
    return told(reply, f"<KeyCount>{count}<", f"<KeyCount>{number}<")


def with_folders(reply: Reply, *names: str) -> Reply:
    blocks = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in names)
    return counting(told(reply, "</ListBucketResult>", f"{blocks}</ListBucketResult>"), len(names))


def token_of(asked: Asked) -> int:
    """The number in a token such as ``t1``; 0 for the first page."""
    return int(parse_qs(urlsplit(asked.path).query).get("continuation-token", ["t0"])[0][1:])


BROKEN: dict[str, tuple[Script, str]] = {
    "KeyCount is larger": (always(counting(page("org/a"), 2)), "KeyCount says 2 names, and the page has 1"),
    "KeyCount counts an empty page": (always(counting(page(), 1)), "KeyCount says 1 names, and the page has 0"),
    "another prefix": (always(page("org/a", "other/b")), "'other/b' does not begin with it"),
    "neither a name nor a token": (always(page(truncated="true")), "neither a name nor a token"),
    "the same token": (always(page("org/a", truncated="true", token="t")), "its token leads to the same page"),
    "the same page under another token": (
        lambda asked, number: page("org/a", truncated="true", token=f"t{number}"),
        "'org/a' is listed again",
    ),
    "pages that begin anew": (
        lambda asked, number: page(
            f"org/{'abc'[token_of(asked) % 3]}", truncated="true", token=f"t{token_of(asked) + 1}"
        ),
        "is listed again",
    ),
    "a token beside the end is refused, and there is more": (
        lambda asked, number: (
            error(400, "InvalidArgument")
            if "continuation-token" in asked.path
            else page("org/b")
            if "start-after" in asked.path
            else page("org/a", token="t")
        ),
        "there is more behind the last key",
    ),
}


@each_way
@pytest.mark.parametrize("what", BROKEN)
def test_a_contradiction_is_a_failure_that_says_what_contradicts_what(way: str, what: str) -> None:
    script, words = BROKEN[what]
    with scripted(script) as server, pytest.raises(StoreError) as caught:
        keys_of(server, way)
    assert caught.value.name == "listing-broken"
    assert words in caught.value.what


@each_way
@pytest.mark.parametrize("first", [counting(page("org/a"), 2), page("org/a", "other/b")])
def test_a_contradiction_that_passes_is_none(way: str, first: Reply) -> None:
    with scripted(in_turn(first, page("org/a", "org/b"))) as server:
        assert keys_of(server, way) == ["org/a", "org/b"]
        assert len(server.asked) == 2


def paged(*pages: Reply) -> Script:
    """Pages by token: ``t1`` leads to the second one."""
    return lambda asked, number: pages[token_of(asked)]


@each_way
def test_a_token_beside_the_end_is_followed(way: str) -> None:
    with scripted(paged(page("org/a", token="t1"), page("org/b", token="t2"), page())) as server:
        assert keys_of(server, way) == ["org/a", "org/b"]


@each_way
@pytest.mark.parametrize("reply", [page("org/a", token="t"), page(token="t")])
def test_a_token_that_is_always_there_ends_somewhere(way: str, reply: Reply) -> None:
    with scripted(always(reply)) as server:
        assert keys_of(server, way) == ["org/a"][: b"org/a" in reply.body]
        assert len(server.asked) == 2


@each_way
def test_a_token_beside_the_end_that_is_refused_leads_nowhere_if_nothing_is_behind_the_last_key(way: str) -> None:
    def script(asked: Asked, number: int) -> Reply:
        if "continuation-token" in asked.path:
            return error(400, "InvalidArgument")
        return page() if "start-after=org%2Fa" in asked.path else page("org/a", token="t")

    with scripted(script) as server:
        assert keys_of(server, way) == ["org/a"]


@each_way
def test_keys_that_two_pages_have_are_told_once(way: str) -> None:
    pages = (page("org/a", "org/b", truncated="true", token="t1"), page("org/b", "org/b", "org/c"))
    with scripted(paged(*pages)) as server:
        assert keys_of(server, way) == ["org/a", "org/b", "org/c"]


@each_way
def test_folders_that_several_pages_have_are_told_once(way: str) -> None:
    """A page may be of 1,000 keys of one folder, which is then named on each of them."""
    again = with_folders(page(truncated="true", token="t1"), "a/")
    pages = (again, told(again, ">t1<", ">t2<"), told(again, ">t1<", ">t3<"), with_folders(page("README"), "a/", "b"))
    with scripted(paged(*pages)) as server:
        assert list(lister(server, way).folders("bucket")) == [("a/", None), ("b/", None), ("README", 3)]


@each_way
def test_a_server_that_knows_no_delimiter_lists_the_folders_in_its_keys(way: str) -> None:
    with scripted(always(page("README", "a/1", "a/2", "b/1"))) as server:
        assert list(lister(server, way).folders("bucket")) == [("README", 3), ("a/", None), ("b/", None)]


# --- organizations ---------------------------------------------------------------------------------------------------


def hiding(*below: str, folders: tuple[str, ...] = ()) -> Script:
    """The listing by folders names ``org/``, whose own listing is empty; `below` and `folders` are what is directly in it."""

    def script(asked: Asked, number: int) -> Reply:
        query = parse_qs(urlsplit(asked.path).query)
        if "delimiter" not in query:
            return page()
        if query.get("prefix"):
            return counting(with_folders(page(*below), *folders), 0)
        return with_folders(page(), "org/")

    return script


@pytest.mark.parametrize("below", [(), ("org/x",), ("org/", "org/x")])
def test_an_organization_that_is_named_and_lists_nothing_is_a_contradiction(below: tuple[str, ...]) -> None:
    with scripted(hiding(*below)) as server:
        source = S3Source(server.location(), quick_patience())
        with pytest.raises(StoreError) as caught:
            list(source.scan(Shard("org"), lambda notice: None))
        source.close()
    assert caught.value.name == "listing-broken"
    assert "'org/'" in caught.value.what


@pytest.mark.parametrize(("below", "folders"), [(("org/",), ()), (("org/",), ("org/sub/",)), ((), ("org/sub/",))])
def test_a_folder_that_became_empty_is_none(below: tuple[str, ...], folders: tuple[str, ...]) -> None:
    """SeaweedFS goes on naming it, and lists it as an object in itself."""
    with scripted(hiding(*below, folders=folders)) as server:
        source = S3Source(server.location(), quick_patience())
        assert list(source.scan(Shard("org"), lambda notice: None)) == []
        source.close()


def test_an_organization_that_became_empty_meanwhile_is_empty() -> None:
    with scripted(always(page())) as server:
        source = S3Source(server.location(), quick_patience())
        assert list(source.scan(Shard("org"), lambda notice: None)) == []
        source.close()


def test_a_shard_that_lists_nothing_of_what_the_organization_lists_is_a_contradiction() -> None:
    def script(asked: Asked, number: int) -> Reply:
        is_shard = "prefix=org%2F&" not in f"{asked.path}&"
        return page() if is_shard else page(f"org/{raw_id('3000')}")

    with scripted(script) as server:
        source = S3Source(server.location(), quick_patience())
        assert list(source.scan(Shard("org", "4"), lambda notice: None)) == []
        with pytest.raises(StoreError) as caught:
            list(source.scan(Shard("org", "3"), lambda notice: None))
        source.close()
    assert caught.value.name == "listing-broken"


# --- buckets ---------------------------------------------------------------------------------------------------------


def buckets(*names: str, token: str = "") -> Reply:
    listed = "".join(f"<Bucket><Name>{name}</Name><CreationDate></CreationDate></Bucket>" for name in names)
    following = f"<ContinuationToken>{token}</ContinuationToken>" if token else ""
    text = f"<ListAllMyBucketsResult><Buckets>{listed}</Buckets>{following}</ListAllMyBucketsResult>"
    return Reply(200, text.encode(), {"Content-Type": "application/xml"})


def organizations_of(script: Script) -> list[str]:
    def both(asked: Asked, number: int) -> Reply:
        if asked.path.startswith("/?") or asked.path == "/":
            return script(asked, number)
        return page(raw_id("0001"), bucket=asked.path[1:].partition("?")[0])

    notices: list[Notice] = []
    with scripted(both) as server:
        location = S3Location(naming=BucketPerOrganization("raw-"), access=server.location().access)
        source = S3Source(location, quick_patience())
        try:
            return list(source.organizations(notices.append))
        finally:
            source.close()


def test_the_list_of_buckets_has_several_pages() -> None:
    def script(asked: Asked, number: int) -> Reply:
        if "continuation-token=t1" in asked.path:
            return buckets("raw-b", "raw-c", "other")
        return buckets("raw-a", "raw-b", token="t1")

    assert organizations_of(script) == ["a", "b", "c"]


def test_a_list_of_buckets_that_goes_round_in_circles_is_a_failure() -> None:
    with pytest.raises(StoreError) as caught:
        organizations_of(always(buckets("raw-a", token="t")))
    assert caught.value.name == "listing-broken"


# --- the first version of the call -----------------------------------------------------------------------------------


def only_v1(status: int, code: str) -> Script:
    names = [f"org/{digit}" for digit in "abcde"]

    def script(asked: Asked, number: int) -> Reply:
        query = parse_qs(urlsplit(asked.path).query)
        if "list-type" in query:
            return error(status, code)
        rest = [name for name in names if name > query.get("marker", [""])[0]]
        return page(*rest[:2], truncated=str(len(rest) > 2).lower())

    return script


@each_way
@pytest.mark.parametrize(
    ("status", "code"),
    [(501, "NotImplemented"), (405, "MethodNotAllowed"), (400, "InvalidArgument"), (403, "AccessDenied")],
)
def test_a_server_that_knows_only_the_first_version_is_listed_by_it(way: str, status: int, code: str) -> None:
    with scripted(only_v1(status, code)) as server:
        asks = lister(server, way)
        assert [one.key[-1] for one in asks.objects("bucket", "org/")] == list("abcde")
        assert asks.by_v1
        before = len(server.asked)
        assert [one.key[-1] for one in asks.objects("bucket", "org/", after="org/c")] == list("de")
        assert len(server.asked) == before + 1, "it is remembered"


@each_way
def test_a_server_that_answers_the_first_version_whatever_is_asked_is_listed_by_it(way: str) -> None:
    first = only_v1(501, "NotImplemented")

    def script(asked: Asked, number: int) -> Reply:
        return first(Asked(asked.method, asked.path.replace("list-type=2", ""), asked.headers, asked.body), number)

    with scripted(script) as server:
        assert [key[-1] for key in keys_of(server, way)] == list("abcde")


def test_a_refusal_of_both_versions_is_that_of_the_second() -> None:
    def script(asked: Asked, number: int) -> Reply:
        return error(403, "AccessDenied") if "list-type" in asked.path else error(501, "NotImplemented")

    with scripted(script) as server, pytest.raises(StoreError) as caught:
        keys_of(server, "boto3")
    assert caught.value.name == "access-denied"
