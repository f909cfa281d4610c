"""What the pages of one listing must be among each other. A listing that contradicts itself is never taken for a complete one.

Seen in public reports of servers: keys that `KeyCount` counts and the page does not have, a token beside ``IsTruncated=false``, keys and
common prefixes on two pages, pages that begin anew, and answers to another prefix than was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from migrator.core.errors import StoreError
from migrator.stores.s3.listing.xml import ListedObject, ListingPage

LISTING_BROKEN = "listing-broken"
_SHOWN = 120
_PAGES_WITHOUT_A_NEW_NAME = 10_000
"""So many pages in a row may name nothing new: a server may answer a page for each 1,000 deleted keys, or for those of one folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a listing is asked for: the keys of a bucket with a prefix, after a key, and up to the delimiter if there is one."""

    bucket: str
    prefix: str = ""
    after: str = ""
    delimiter: str = ""
    most: int

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


class Onward(NamedTuple):
    """Where a page leads: a token, or a marker for ListObjects. Empty: to the first page, or nowhere."""

    token: str = ""
    is_marker: bool = False


class Trail:
    """The pages of one listing as they come, in constant memory: the names of the page before, and one name of an earlier page."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._page_before: frozenset[str] = frozenset()
        self._pages = 0
        self._milestone = ("", 0)
        self._barren = 0
        self.last = question.after

    def contradiction(self, page: ListingPage, led_by: Onward) -> str:
        """Return what contradicts what on this page, which `led_by` led to, or among it and those before; "" where nothing does."""
        named = len(page.objects) + len(page.folders)
        if page.key_count is not None and page.key_count > named:
            return f"KeyCount says {page.key_count} names, and the page has {named}"
        prefix = self._question.prefix
        for key in self._names(page):
            if not key.startswith(prefix):
                return f"the prefix {prefix!r} was asked for, and {_short(key)} does not begin with it"
        if not page.is_truncated:
            return ""
        if not (page.token or page.marker or named):
            return "IsTruncated says that there is more, and neither a name nor a token tells where"
        if led_by.token and led_by.token in (page.token, page.marker):
            return "IsTruncated says that there is more, and its token leads to the same page"
        return self._circle(page)

    def _circle(self, page: ListingPage) -> str:
        """A page that was there before; folders may be repeated as often as the server has keys in them."""
        names = frozenset(one.key for one in page.objects)
        milestone, number = self._milestone
        is_again = bool(names) and not page.folders and names <= self._page_before
        if is_again or (number and number < self._pages and milestone in names):
            return f"IsTruncated says that there is more, and {_short(min(names))} is listed again"
        if self._barren >= _PAGES_WITHOUT_A_NEW_NAME:
            return f"{self._barren} pages in a row named nothing new, and IsTruncated says that there is more"
        return ""

    def new_in(self, page: ListingPage) -> ListingPage:
        """Take a page down and return it without what the page before had already."""
        before = self._page_before
        self._pages += 1
        if page.objects and self._pages & (self._pages - 1) == 0:
            self._milestone = (page.objects[0].key, self._pages)
        fresh = page._replace(
            objects=_once(page.objects, before), folders=tuple(one for one in page.folders if one not in before)
        )
        if page.objects or page.folders:
            self._page_before = frozenset(self._names(page))
            self.last = max(self._names(page)) if self._question.delimiter else self._names(page)[-1]
        self._barren = 0 if fresh.objects or fresh.folders else self._barren + 1
        return fresh

    def _names(self, page: ListingPage) -> list[str]:
        return [*page.folders, *(one.key for one in page.objects)]


def _once(objects: Iterable[ListedObject], before: frozenset[str]) -> list[ListedObject]:
    last = ""
    found = []
    for one in objects:
        if one.key != last and one.key not in before:
            found.append(one)
        last = one.key
    return found


def _short(key: str) -> str:
    return repr(key if len(key) <= _SHOWN else f"{key[:_SHOWN]}…")


def broken(where: str, contradiction: str) -> StoreError:
    """Return the error for a listing that contradicts itself."""
    return StoreError(
        "listing-broken",
        f"The listing of {where} contradicts itself: {contradiction}.",
        why="It was asked for twice. Raw files may be missing from it.",
        cure="Check the server and its proxy, then rerun. Nothing was decided.",
    )
