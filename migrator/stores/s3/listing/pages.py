"""Listings that are guarded: a page that is not surely one is a failure, never an empty bucket.

A wrong 200 answer (an empty body, a captive portal's HTML) parses as an empty dictionary without any error, which has made other tools
delete everything. So each page must name its bucket and say whether it goes on, and no page may contradict itself or another one
(`consistency`). Each contradiction is asked about once more before it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from migrator.core.errors import StoreError, Unavailable
from migrator.stores.s3.errors.error_fields import code_of, status_of
from migrator.stores.s3.errors.mapping import translate
from migrator.stores.s3.http.curl import CurlClient
from migrator.stores.s3.listing.consistency import LISTING_BROKEN, Onward, Question, Trail, broken
from migrator.stores.s3.listing.xml import ListedObject, ListingPage, read_page
from migrator.stores.s3.parsing.etags import clean_etag
from migrator.stores.s3.parsing.repair import RAW_PAGE
from migrator.stores.s3.parsing.timestamps import nanoseconds_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Retry = Callable[[Callable[[], Any]], Any]
"""Runs a call again while its error is temporary and patience lasts."""

PAGE = 1_000
REFUSED_V2 = (400, 403, 405, 501)
"""How servers refuse ``list-type=2`` that know only the first version of the listing, or policies and proxies that allow only that."""


_UNREADABLE = (TypeError, KeyError, AttributeError)
"""What botocore trips over in answers that are XML and not S3's."""


class Lister:
    """Lists one server's buckets, over the wire while its pages are clean; by boto3 from the first that is not, which explains.

    A server without ListObjectsV2 is asked by ListObjects from then on: `by_v1`.
    """

    def __init__(self, client: S3Client, retry: Retry, wire: CurlClient | None = None, *, by_v1: bool = False) -> None:
        self._client = client
        self._retry = retry
        self._wire = wire
        self.by_v1 = by_v1

    def objects(self, bucket: str, prefix: str, *, after: str = "", page_size: int = PAGE) -> Iterator[ListedObject]:
        """Yield all objects under a prefix (after a key), in the server's order. Raises StoreError, however late."""
        for page in self.pages(Question(bucket=bucket, prefix=prefix, after=after, most=page_size)):
            yield from page.objects

    def folders(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, int | None]]:
        """Yield the first parts of all keys behind a prefix: ``("org/", None)``, once, where a slash follows, ``("key", size)`` else.

        A server that does not know the delimiter lists all keys: then their first parts are taken here.
        """
        yielded: set[str] = set()
        for page in self.pages(Question(bucket=bucket, prefix=prefix, delimiter="/", most=PAGE)):
            found = [(f"{one.removesuffix('/')}/", None) for one in page.folders]
            for name, size in (*found, *(_first_part(one, prefix) for one in page.objects)):
                if size is not None or name not in yielded:
                    yield name, size
                if size is None:
                    yielded.add(name)

    def has(self, bucket: str, key: str) -> ListedObject | None:
        """Return what a fresh listing says of one key, None where it does not have it. Raises StoreError."""
        return next((one for one in self.objects(bucket, key, page_size=1) if one.key == key), None)

    def pages(self, question: Question) -> Iterator[ListingPage]:
        """Yield the pages that answer a question, without what the page before had already. Raises StoreError, however late."""
        trail, onward = Trail(question), Onward()
        page: ListingPage | None = self._consistent(question, trail, onward)
        while page is not None:
            fresh = trail.new_in(page)
            yield fresh
            page, onward = self._next(question, trail, page, onward, is_new=_names_any(fresh))

    def _next(
        self, question: Question, trail: Trail, page: ListingPage, led_by: Onward, *, is_new: bool
    ) -> tuple[ListingPage | None, Onward]:
        """The page after this one and what led there; None after the last one. Tokens beside ``IsTruncated=false`` are followed too."""
        if page.token:
            onward = Onward(page.token)
        elif page.marker or page.is_truncated:  # whoever gives no token where there is more knows only markers
            self.by_v1 = True
            onward = Onward(page.marker or trail.last, is_marker=True)
        else:
            return None, Onward()
        if page.is_truncated:
            return self._consistent(question, trail, onward), onward
        if onward == led_by or (led_by.token and not is_new):
            return None, Onward()
        return self._beside_the_end(question, trail, onward), onward

    def _beside_the_end(self, question: Question, trail: Trail, onward: Onward) -> ListingPage | None:
        """Return what a token leads to that came beside ``IsTruncated=false``; if refused, ask from the last key on.

        Raises:
            Unavailable: If the server does not answer.
            StoreError: If the listing contradicts itself.
        """  # noqa: DOC501 made by broken
        try:
            return self._consistent(question, trail, onward)
        except Unavailable:
            raise
        except StoreError as error:
            if error.name == LISTING_BROKEN:
                raise
            behind = replace(question, after=trail.last)
            rest = self._consistent(behind, Trail(behind), Onward())
            if _names_any(trail.new_in(rest)):
                broken_by = "IsTruncated says that this is all, and there is more behind the last key, where its token cannot lead"
                raise broken(str(question), broken_by) from error
            return None

    def _consistent(self, question: Question, trail: Trail, onward: Onward) -> ListingPage:
        """Return one page, asked for once more if something contradicts something.

        Raises:
            StoreError: If it still does.
        """  # noqa: DOC501 made by broken
        page = self._over_wire(question, onward)
        broken_by = trail.contradiction(page, onward) if page is not None else ""
        if page is None or broken_by:
            is_second, page = bool(broken_by), self._by_boto3(question, onward)
            broken_by = trail.contradiction(page, onward)
            if broken_by and not is_second:
                page = self._by_boto3(question, onward)
                broken_by = trail.contradiction(page, onward)
        if broken_by:
            raise broken(str(question), broken_by)
        return page

    def _over_wire(self, question: Question, onward: Onward) -> ListingPage | None:
        if self._wire is None:
            return None
        query = {"encoding-type": "url", "prefix": question.prefix, "max-keys": str(question.most)}
        query |= {"delimiter": question.delimiter} if question.delimiter else {}
        if self._is_by_v1(onward):
            marker = onward.token or question.after
            query |= {"marker": marker} if marker else {}
        else:
            query |= {"list-type": "2"} | ({"continuation-token": onward.token} if onward.token else {})
            query |= {"start-after": question.after} if question.after and not onward.token else {}
        answer = self._wire.list_page(question.bucket, query)
        return read_page(answer.body, question.bucket) if answer is not None and answer.status < 300 else None

    def _by_boto3(self, question: Question, onward: Onward) -> ListingPage:
        page: ListingPage = self._retry(lambda: self._fetched(question, onward))
        return page

    def _is_by_v1(self, onward: Onward) -> bool:
        """A listing goes on as its last page says; whatever was found out of the server meanwhile holds for the next one."""
        return onward.is_marker if onward.token else self.by_v1

    def _fetched(self, question: Question, onward: Onward) -> ListingPage:
        if self._is_by_v1(onward):
            return self._fetched_by_v1(question, onward)
        more: dict[str, Any] = {"StartAfter": question.after} if question.after else {}
        more = {"ContinuationToken": onward.token} if onward.token else more
        try:
            answer = self._client.list_objects_v2(**_common(question), **more)
        except Exception as error:
            refusal = _no_listing(question) if isinstance(error, _UNREADABLE) else translate(error, str(question))
            is_unknown = code_of(error) in ("NotImplemented", "MethodNotAllowed") or status_of(error) in REFUSED_V2
            if refusal.temporary or onward.token or not is_unknown:
                raise refusal from error
            page = self._by_v1_instead(question, refusal)
            self.by_v1 = True
            return page
        return _page_of(answer, question)

    def _by_v1_instead(self, question: Question, refusal: StoreError) -> ListingPage:
        """Return the first page by the first version of the call.

        Raises:
            Unavailable: If the server does not answer.
            StoreError: If that is refused too; it is the second version's refusal, which counts.
        """
        try:
            return self._fetched_by_v1(question, Onward())
        except Unavailable:
            raise
        except StoreError:
            raise refusal from refusal.__cause__

    def _fetched_by_v1(self, question: Question, onward: Onward) -> ListingPage:
        marker = onward.token or question.after
        more: dict[str, Any] = {"Marker": marker} if marker else {}
        try:
            answer = self._client.list_objects(**_common(question), **more)
        except Exception as error:
            raise (
                _no_listing(question) if isinstance(error, _UNREADABLE) else translate(error, str(question))
            ) from error
        return _page_of(answer, question)


def refuse_hidden_folder(lister: Lister, bucket: str, folder: str) -> None:
    """Refuse a listing by folders that names a folder, such as ``org/``, whose own listing stays empty.

    SeaweedFS names folders that became empty; asked for what is directly in one, it lists the folder itself as an
    object.

    Raises:
        StoreError: If that is so, and it is none of those.
    """  # noqa: DOC501 made by broken
    if not any(name == folder for name, _ in lister.folders(bucket)):
        return
    found = list(islice(lister.folders(bucket, folder), 2))
    is_emptied = bool(found) and all(size is None or name == folder for name, size in found)
    if is_emptied or next(lister.objects(bucket, folder), None) is not None:
        return
    raise broken(f"s3://{bucket}/", f"the listing by folders names {folder!r}, and the listing of {folder!r} is empty")


def refuse_hidden_keys(lister: Lister, bucket: str, prefix: str, digits: str) -> None:
    """Refuse a listing of a prefix with a key that goes on with `digits`, if the listing of both together is empty.

    Raises:
        StoreError: If that is so: raw files would be called missing that are there.
    """  # noqa: DOC501 made by broken
    begin = f"{prefix}{digits}"
    found = next(lister.objects(bucket, prefix, after=just_before(begin), page_size=1), None)
    if found is None or not found.key.startswith(begin):
        return
    if next(lister.objects(bucket, begin), None) is None:
        contradiction = f"the listing of {prefix!r} has {found.key!r}, and the listing of {begin!r} is empty"
        raise broken(f"s3://{bucket}/{begin}", contradiction)


def just_before(begin: str) -> str:
    """Return where a listing has to begin so that the first raw file in it is the first from `begin` on."""
    return f"{begin[:-1]}{chr(ord(begin[-1]) - 1)}~"  # raw ids are ASCII, and "~" comes after all that is in them


def _names_any(page: ListingPage) -> bool:
    return bool(page.objects or page.folders)


def _first_part(one: ListedObject, prefix: str) -> tuple[str, int | None]:
    first, slash, _ = one.key[len(prefix) :].partition("/")
    return (f"{prefix}{first}/", None) if slash else (one.key, one.size)


def _common(question: Question) -> dict[str, Any]:
    parameters: dict[str, Any] = {"Bucket": question.bucket, "Prefix": question.prefix, "MaxKeys": question.most}
    return parameters | ({"Delimiter": question.delimiter} if question.delimiter else {})


def _no_listing(question: Question) -> Unavailable:
    return Unavailable(
        "listing-broken",
        f"The answer to listing {question} is no listing of that bucket.",
        why="A proxy or another service may have answered.",
        cure="Check AWS_ENDPOINT_URL and any proxy.",
    )


def _page_of(answer: Mapping[str, Any], question: Question) -> ListingPage:
    """Return the page as this program reads it; where its XML is of another form, as boto3 does.

    Raises:
        Unavailable: If it is no listing at all.
    """  # noqa: DOC501 made by _no_listing
    page = read_page(answer.get(RAW_PAGE, b""), question.bucket)
    if page is not None:
        return page
    found = answer.get("Contents", ())
    is_listing = answer.get("Name") == question.bucket and isinstance(answer.get("IsTruncated"), bool)
    if not is_listing or not all("Key" in one and "Size" in one for one in found):
        raise _no_listing(question)
    return ListingPage(
        objects=[
            ListedObject(one["Key"], one["Size"], clean_etag(one.get("ETag")), nanoseconds_of(one.get("LastModified")))
            for one in found
        ],
        token=answer.get("NextContinuationToken"),
        marker=answer.get("NextMarker"),
        is_truncated=answer["IsTruncated"],
        folders=tuple(one["Prefix"] for one in answer.get("CommonPrefixes", ()) if "Prefix" in one),
        key_count=answer.get("KeyCount"),
    )
