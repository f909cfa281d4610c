"""Listings that are guarded: a page that is not surely one is a failure, never an empty bucket.

A wrong 200 answer (an empty body, a captive portal's HTML) parses as an empty dictionary without any error, which has made other tools
delete everything. So each page must name its bucket and say whether it goes on, tokens must change, and keys must ascend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from migrator.errors import StoreError, Unavailable
from migrator.stores.s3.faults import translate
from migrator.stores.s3.pages import Listed, clean_etag, read_page
from migrator.stores.s3.wire import Wire

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Retry = Callable[[Callable[[], Any]], Any]
"""Runs a call again while its error is temporary and patience lasts."""

PAGE = 1_000


def list_objects(
    client: S3Client,
    bucket: str,
    prefix: str,
    *,
    after: str = "",
    page_size: int = PAGE,
    retry: Retry,
    wire: Wire | None = None,
) -> Iterator[Listed]:
    """All objects under a prefix (after a key), in the server's order. Raises StoreError, however late.

    Over the wire while its pages are clean; from the first one that is not, boto3 asks, and explains what is wrong.
    """
    extra = {"StartAfter": after} if after else {}
    if wire is not None:
        yield from _objects_over(wire, client, bucket, prefix, extra, page_size, retry)
        return
    for page in _pages(client, bucket, prefix, extra, page_size, retry):
        yield from _objects_of(page)


def _objects_of(page: Mapping[str, Any]) -> Iterator[Listed]:
    for found in page.get("Contents", ()):
        modified_ns = int(found["LastModified"].timestamp() * 1e9)
        yield Listed(found["Key"], found["Size"], clean_etag(found.get("ETag")), modified_ns)


def _objects_over(
    wire: Wire, client: S3Client, bucket: str, prefix: str, extra: dict[str, Any], page_size: int, retry: Retry
) -> Iterator[Listed]:
    token: str | None = ""
    while token is not None:
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix, "max-keys": str(page_size)}
        query |= (
            {"continuation-token": token}
            if token
            else {"start-after": after}
            if (after := extra.get("StartAfter"))
            else {}
        )
        answer = wire.list_page(bucket, query)
        page = read_page(answer.body, bucket) if answer is not None and answer.status == 200 else None
        if page is None or (page.token is not None and page.token == token):
            for unread in _pages(client, bucket, prefix, extra, page_size, retry, token=token):
                yield from _objects_of(unread)
            return
        yield from page.objects
        token = page.token


def list_folders(client: S3Client, bucket: str, *, retry: Retry) -> Iterator[tuple[str, int | None]]:
    """The first parts of all keys: ``("org/", None)`` for keys with a slash, ``("key", size)`` for those without."""
    for page in _pages(client, bucket, "", {"Delimiter": "/"}, PAGE, retry):
        for found in page.get("CommonPrefixes", ()):
            yield found["Prefix"], None
        for found in page.get("Contents", ()):
            yield found["Key"], found["Size"]


def _pages(
    client: S3Client,
    bucket: str,
    prefix: str,
    extra: Mapping[str, Any],
    page_size: int,
    retry: Retry,
    *,
    token: str = "",
) -> Iterator[dict[str, Any]]:
    where = f"s3://{bucket}/{prefix}"
    while True:
        more: dict[str, Any] = {"ContinuationToken": token} if token else {**extra}
        if "Delimiter" in extra:
            more["Delimiter"] = extra["Delimiter"]

        def ask(more: dict[str, Any] = more) -> dict[str, Any]:
            try:
                page = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=page_size, **more)
            except Exception as error:
                raise translate(error, where) from error
            return _guarded(dict(page), bucket, where)

        page = retry(ask)
        yield page
        if not page["IsTruncated"]:
            return
        last, token = token, page.get("NextContinuationToken", "")
        if not token or token == last:
            raise StoreError(
                "listing-broken",
                f"The listing of {where} goes round in circles: the server says that there is more, and not where.",
                cure="Nothing was decided from it. Look at the server or at the proxy in front of it.",
            )


def _guarded(page: dict[str, Any], bucket: str, where: str) -> dict[str, Any]:
    if page.get("Name") != bucket or not isinstance(page.get("IsTruncated"), bool):
        raise Unavailable(
            "listing-broken",
            f"The answer to listing {where} is no listing of that bucket.",
            why="A proxy or another service may have answered in the server's place.",
            cure="Check AWS_ENDPOINT_URL and what stands between this machine and the server.",
        )
    return page
