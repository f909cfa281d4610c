"""Pages of listings, as real servers give them and as they must never be taken."""

from __future__ import annotations

import urllib.parse
from typing import Any
from xml.sax.saxutils import escape

import boto3
import botocore.awsrequest
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from migrator.stores.s3.boto3_clients import connect
from migrator.stores.s3.http.curl import CurlClient
from migrator.stores.s3.listing.xml import ListedObject, ListingPage, read_page
from migrator.stores.s3.parsing.etags import clean_etag
from tests import strategies
from tests.backends import access_to
from tests.conftest import FreshNames
from tests.servers import S3Server

MD5 = "9a0364b9e99bb480dd25e1f0284c8555"
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
AT = 1_763_806_211_000_000_000
"""2025-11-22T10:10:11Z"""

SEAWEEDFS = (
    f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{NAMESPACE}"><Name>one-bucket</Name><Prefix>alpha/</Prefix>'
    "<MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated><Contents><Key>alpha/00a</Key><ETag>&#34;9a0364b9e99bb480dd25e1f0284c8555"
    "&#34;</ETag><Size>7</Size><StorageClass>STANDARD</StorageClass><LastModified>2025-11-22T10:10:11Z</LastModified></Contents>"
    "<Contents><Key>alpha/gemeente+%26+%C3%A9</Key><ETag>&#34;9a0364b9e99bb480dd25e1f0284c8555-3&#34;</ETag><Size>0</Size>"
    "<StorageClass>STANDARD</StorageClass><LastModified>2025-11-22T10:10:11Z</LastModified></Contents>"
    "<NextContinuationToken>alpha/gemeente &amp; é</NextContinuationToken><EncodingType>url</EncodingType><KeyCount>2</KeyCount>"
    "<StartAfter></StartAfter></ListBucketResult>"
)
MOTO = (
    f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="{NAMESPACE}">\n  <Name>one-bucket</Name>\n  <Prefix>alpha/</Prefix>'
    "\n  <MaxKeys>1000</MaxKeys>\n  <KeyCount>1</KeyCount>\n  <EncodingType>url</EncodingType>\n  <IsTruncated>false</IsTruncated>"
    "\n\n  <Contents>\n    <Key>alpha/00a</Key>\n    <LastModified>2025-11-22T10:10:11.500Z</LastModified>\n    <ETag>&quot;"
    f"{MD5}&quot;</ETag>\n    <Size>7</Size>\n    <StorageClass>STANDARD</StorageClass>\n    \n  </Contents>\n</ListBucketResult>"
)
RCLONE = (
    f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{NAMESPACE}">\n  <Name>one-bucket</Name>\n  '
    "<IsTruncated>false</IsTruncated>\n  <MaxKeys>1000</MaxKeys>\n  <Prefix>alpha/</Prefix>\n  <Contents>\n    <Key>alpha/00a</Key>\n"
    f"    <LastModified>2025-11-22T10:10:11.123456789Z</LastModified>\n    <ETag>{MD5}</ETag>\n    <Size>7</Size>\n  </Contents>\n"
    "</ListBucketResult>"
)


def page_of(*contents: str, name: str = "bucket", truncated: str = "false", more: str = "") -> bytes:
    return (
        f'<?xml version="1.0"?><ListBucketResult xmlns="{NAMESPACE}"><Name>{name}</Name><IsTruncated>{truncated}</IsTruncated>'
        f"{more}{''.join(contents)}</ListBucketResult>"
    ).encode()


def contents_of(
    key: str, size: int = 3, etag: str = "&quot;e&quot;", modified: str = "2025-11-22T10:10:11.000Z"
) -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><ETag>{etag}</ETag><Size>{size}</Size>"
        "<Owner><ID>1</ID><DisplayName>me</DisplayName></Owner></Contents>"
    )


def keys_of(page: ListingPage | None) -> list[str]:
    assert page is not None
    return [found.key for found in page.objects]


# --- real pages ------------------------------------------------------------------------------------------------------


def test_a_page_of_seaweedfs() -> None:
    page = read_page(SEAWEEDFS.encode(), "one-bucket")
    assert page == ListingPage(
        [ListedObject("alpha/00a", 7, MD5, AT), ListedObject("alpha/gemeente & é", 0, f"{MD5}-3", AT)],
        "alpha/gemeente & é",
        is_truncated=True,
        key_count=2,
    )


def test_a_page_of_moto() -> None:
    page = read_page(MOTO.encode(), "one-bucket")
    assert page == ListingPage([ListedObject("alpha/00a", 7, MD5, AT + 500_000_000)], key_count=1)


def test_a_page_of_rclone_has_neither_quotes_nor_a_count() -> None:
    assert read_page(RCLONE.encode(), "one-bucket") == ListingPage(
        [ListedObject("alpha/00a", 7, MD5, AT + 123_456_789)], None
    )


@pytest.mark.parametrize("kind", ["weed", "moto", "rclone"])
def test_pages_of_servers_are_read_as_boto3_reads_them(
    kind: str, request: pytest.FixtureRequest, fresh_names: FreshNames
) -> None:
    """The same objects, in pages of 3, whether they are asked for over the wire or by boto3."""
    server: S3Server = request.getfixturevalue(kind)
    client, bucket = server.client(), fresh_names.bucket
    client.create_bucket(Bucket=bucket)
    names = ["0", "1 b", "2+c", "3%20", "4&amp;", "5é", "6市", "7'\"<>"]
    for name in names:
        client.put_object(Bucket=bucket, Key=f"alpha/{name}", Body=name.encode())
    client.put_object(Bucket=bucket, Key="beta/x", Body=b"")
    wire = CurlClient(connect(access_to(server)))
    found: list[ListedObject] = []
    token: str | None = ""
    while token is not None:
        query = {"list-type": "2", "encoding-type": "url", "prefix": "alpha/", "max-keys": "3"}
        answer = wire.list_page(bucket, query | ({"continuation-token": token} if token else {}))
        assert answer is not None
        assert answer.status == 200
        page = read_page(answer.body, bucket)
        assert page is not None, answer.body
        assert len(page.objects) <= 3
        found += page.objects
        token = page.token
    assert [(one.key, one.size) for one in found] == [(f"alpha/{name}", len(name.encode())) for name in names]
    listed = client.list_objects_v2(Bucket=bucket, Prefix="alpha/")["Contents"]
    assert [one.etag for one in found] == [one["ETag"].strip('"') for one in listed]
    assert [one.modified_ns // 10**9 for one in found] == [int(one["LastModified"].timestamp()) for one in listed]


# --- what is no page -------------------------------------------------------------------------------------------------

GOOD = page_of(contents_of("a"), contents_of("b"))

NO_PAGES = {
    "nothing": b"",
    "white space": b" \n",
    "HTML": b"<html><body>Sign in</body></html>",
    "HTML around a page": b"<html>" + GOOD + b"</html>",
    "JSON": b'{"Name": "bucket", "IsTruncated": false}',
    "an error": b"<Error><Code>InternalError</Code></Error>",
    "another bucket's": page_of(name="another"),
    "without a name": page_of().replace(b"<Name>bucket</Name>", b""),
    "without IsTruncated": page_of().replace(b"<IsTruncated>false</IsTruncated>", b""),
    "with an odd IsTruncated": page_of(truncated="perhaps"),
    "an object without a key": page_of(contents_of("a"), "<Contents><Size>3</Size></Contents>"),
    "an object without a size": page_of(contents_of("a"), "<Contents><Key>b</Key></Contents>"),
    "a size that is no number": page_of(contents_of("a").replace("<Size>3<", "<Size>x<")),
    "a negative size": page_of(contents_of("a").replace("<Size>3<", "<Size>-3<")),
    "a name that is not UTF-8": GOOD.replace(b"<Name>bucket<", b"<Name>\xff\xfe<"),
    "a token that is not UTF-8": page_of(
        truncated="true", more="<NextContinuationToken>t</NextContinuationToken>"
    ).replace(b">t<", b">\xff<"),
    "of a list of buckets": b"<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>",
}


@pytest.mark.parametrize("body", NO_PAGES.values(), ids=NO_PAGES.keys())
def test_what_is_not_surely_a_page_is_none(body: bytes) -> None:
    assert read_page(body, "bucket") is None


def test_a_page_that_is_cut_anywhere_is_none() -> None:
    for body in (SEAWEEDFS.encode(), MOTO.encode(), RCLONE.encode()):
        assert read_page(body, "one-bucket") is not None
        for end in range(len(body)):
            assert read_page(body[:end], "one-bucket") is None


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(body: bytes) -> None:
    assert read_page(body, "bucket") is None
    read_page(b"<ListBucketResult>" + body + b"</ListBucketResult>", "bucket")
    page = read_page(page_of(more="MARK").replace(b"MARK", body.replace(b"<", b"")), "bucket")
    assert page == ListingPage([], None)


# --- fields ----------------------------------------------------------------------------------------------------------


def test_an_empty_bucket_is_an_empty_page() -> None:
    assert read_page(page_of(), "bucket") == ListingPage([], None)


def test_a_page_is_told_as_the_server_tells_it() -> None:
    """Whether a token beside ``IsTruncated=false`` leads anywhere is for the listing to find out."""
    more = "<NextContinuationToken>left over</NextContinuationToken><KeyCount>7</KeyCount>"
    assert read_page(page_of(more=more), "bucket") == ListingPage([], "left over", key_count=7)
    assert read_page(page_of(truncated="true"), "bucket") == ListingPage([], is_truncated=True)
    encoded = "<EncodingType>url</EncodingType><NextMarker>a+b%2Fc</NextMarker><NextContinuationToken></NextContinuationToken>"
    assert read_page(page_of(more=encoded), "bucket") == ListingPage([], marker="a b/c")


def test_folders_are_read_in_either_form() -> None:
    more = (
        "<CommonPrefixes><Prefix>a+b/</Prefix></CommonPrefixes>"
        "<CommonPrefixes><Prefix>c&amp;d/</Prefix><Prefix>e/</Prefix></CommonPrefixes>"
    )
    assert read_page(page_of(more=more), "bucket") == ListingPage([], folders=("a+b/", "c&d/", "e/"))
    page = read_page(page_of(more=f"<EncodingType>url</EncodingType>{more}"), "bucket")
    assert page == ListingPage([], folders=("a b/", "c&d/", "e/"))


def test_control_characters_stay_in_a_key() -> None:
    """Without them, what is no raw file would look like one."""
    body = page_of(contents_of("a&#1;b&#x0A;"), contents_of("c\n"))
    assert keys_of(read_page(body, "bucket")) == ["a\x01b\n", "c\n"]


def test_entities_are_characters() -> None:
    body = page_of(contents_of("a&amp;b&lt;c&gt;&quot;&#39;&#x5e02;&#233;"))
    assert keys_of(read_page(body, "bucket")) == ["a&b<c>\"'市é"]


def test_keys_are_decoded_only_if_the_page_says_that_they_are_encoded() -> None:
    body = page_of(contents_of("a%2Bb+c%C3%A9"))
    assert keys_of(read_page(body, "bucket")) == ["a%2Bb+c%C3%A9"]
    said = page_of(contents_of("a%2Bb+c%C3%A9"), more="<EncodingType>url</EncodingType>")
    assert keys_of(read_page(said, "bucket")) == ["a+b cé"]


@pytest.mark.parametrize("missing", ["ETag", "LastModified"])
def test_an_object_may_lack_what_only_some_servers_list(missing: str) -> None:
    """JuiceFS' gateway lists no ETag; the fields of the others must not move to it."""
    without = {
        "ETag": contents_of("b").replace("<ETag>&quot;e&quot;</ETag>", ""),
        "LastModified": contents_of("b").replace("<LastModified>2025-11-22T10:10:11.000Z</LastModified>", ""),
    }[missing]
    expected = ListedObject("b", 3, None, AT) if missing == "ETag" else ListedObject("b", 3, "e", 0)
    page = read_page(page_of(contents_of("a", etag="first"), without, contents_of("c", etag="third")), "bucket")
    assert page is not None
    assert page.objects == [ListedObject("a", 3, "first", AT), expected, ListedObject("c", 3, "third", AT)]
    alone = read_page(page_of(without), "bucket")
    assert alone is not None
    assert alone.objects == [expected]


@pytest.mark.parametrize(
    ("listed", "meant"),
    [("&quot;e&quot;", "e"), ("&#34;e&#34;", "e"), ("e", "e"), ('W/"e"', "e"), ("", None), ('""', None), (" e\n", "e")],
)
def test_etags_without_what_servers_add(listed: str, meant: str | None) -> None:
    page = read_page(page_of(contents_of("a", etag=listed)), "bucket")
    assert page is not None
    assert page.objects[0].etag == meant


@pytest.mark.parametrize(
    ("listed", "nanoseconds"),
    [
        ("2025-11-22T10:10:11.000Z", AT),
        ("2025-11-22T10:10:11Z", AT),
        ("2025-11-22T10:10:11.123Z", AT + 123_000_000),
        ("2025-11-22T10:10:11.123456789Z", AT + 123_456_789),
        ("2025-11-22T10:10:11.1234567891Z", AT + 123_456_789),
        ("1970-01-01T00:00:00Z", 0),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_moments(listed: str, nanoseconds: int) -> None:
    page = read_page(page_of(contents_of("a", modified=listed)), "bucket")
    assert page is not None
    assert page.objects[0].modified_ns == nanoseconds


@pytest.mark.parametrize(("etag", "clean"), [(None, None), ("", None), ('"', None), ('W/"a"', "a"), ('"a-2"', "a-2")])
def test_clean_etag(etag: str | None, clean: str | None) -> None:
    assert clean_etag(etag) == clean


# --- against boto3 ---------------------------------------------------------------------------------------------------


class Answering:
    """A boto3 client whose server always answers the same body."""

    def __init__(self) -> None:
        self.body = b""
        self.client: Any = boto3.session.Session("AK", "SK", region_name="us-east-1").client(
            "s3", endpoint_url="http://127.0.0.1:1", config=Config(response_checksum_validation="when_required")
        )
        self.client.meta.events.register("before-send.s3.ListObjectsV2", self._answer)

    def _answer(self, request: Any, **_: Any) -> botocore.awsrequest.AWSResponse:
        answer = botocore.awsrequest.AWSResponse(request.url, 200, {}, None)
        answer._content = self.body
        return answer

    def objects(self, body: bytes) -> list[ListedObject]:
        self.body = body
        page = self.client.list_objects_v2(Bucket="bucket")
        return [
            ListedObject(
                one["Key"], one["Size"], clean_etag(one.get("ETag")), round(one["LastModified"].timestamp()) * 10**9
            )
            for one in page.get("Contents", [])
        ]


BOTO3 = Answering()
_XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1)
_KEYS = st.one_of(_XML_TEXT, strategies.raw_files().map("/".join))


@given(
    st.lists(st.tuples(_KEYS, st.integers(0, 2**63), st.sampled_from([MD5, f"{MD5}-7", "x"])), max_size=8),
    st.booleans(),
)
def test_a_page_is_what_boto3_reads(objects: list[tuple[str, int, str]], encoded: bool) -> None:
    blocks = [
        contents_of(urllib.parse.quote_plus(key) if encoded else escape(key), size, f"&quot;{etag}&quot;")
        for key, size, etag in objects
    ]
    body = page_of(*blocks, more="<EncodingType>url</EncodingType>" if encoded else "")
    page = read_page(body, "bucket")
    assert page is not None
    assert page.objects == BOTO3.objects(body)
    assert [(one.key, one.size, one.etag) for one in page.objects] == objects


def test_a_page_of_a_thousand_keys_is_what_boto3_reads() -> None:
    blocks = [
        contents_of(
            f"alpha/{number:08x}%20é",
            number,
            f"&quot;{number:032x}&quot;",
            f"2025-11-22T10:{number // 60 % 60:02}:{number % 60:02}Z",
        )
        for number in range(1_000)
    ]
    body = page_of(*blocks, more="<EncodingType>url</EncodingType>")
    page = read_page(body, "bucket")
    assert page is not None
    assert len(page.objects) == 1_000
    assert page.objects == BOTO3.objects(body)
