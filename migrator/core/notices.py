"""What an operator has to know beside the counts: strays, folders that hide raw files, and each raw file that needs a look. Pure values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import NamedTuple


class NoticeKind(Enum):
    """What a scan may meet besides raw files."""

    STRAY = "stray"
    UNREADABLE_FOLDER = "unreadable-folder"
    LEFT_ALONE = "left-alone"
    CLOSED = "closed"


LINKED_FOLDER = "linked-folder"
"""The `code` of a notice of an unreadable folder: a symbolic link lies in the folder's place, and only Bytes follows it."""
LINKED_FILE = "a symbolic link to a file: Bytes follows it, bytes-migrator does not"
"""The reason of a stray that Bytes reads as a raw file."""
OTHER_FOLDER = "not an organization's code (lower-case slug, at most 32 characters)"
"""The reason of a stray folder beside the organizations."""
OTHER_FOLDER_WITH_RAW_FILES = f"{OTHER_FOLDER}, with raw files in it"
"""As `OTHER_FOLDER`; what lies in it is in the form of raw files."""


class Notice(NamedTuple):
    """Something in a location that is no raw file, or that hides raw files from us. `where` is its full path or URL.

    `code` is the name of the error that hides them, if there was one.
    """

    kind: NoticeKind
    where: str
    reason: str
    organization: str = ""
    size: int = 0
    code: str = ""


Notify = Callable[[Notice], None]
"""Scans tell what they meet besides raw files by calling this, in the order in which they meet it."""


def ignore_notice(notice: Notice) -> None:
    """For a scan whose strays and unreadable folders another scan reports."""


class Problem(NamedTuple):
    """A raw file, folder or stray that the operator has to know of. `kind` is an outcome's or a notice's value.

    `target` is where it is or would be at the target. `code` and `request_id` as in `Result`.
    """

    kind: str
    organization: str
    where: str
    reason: str
    raw_id: str = ""
    size: int = 0
    target: str = ""
    code: str = ""
    request_id: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the problem as it stands in JSON reports and logs; what is not known is None."""
        return {
            "kind": self.kind,
            "organization": self.organization,
            "id": self.raw_id or None,
            "where": self.where,
            "reason": self.reason,
            "bytes": self.size,
            "target": self.target or None,
            "code": self.code or None,
            "request_id": self.request_id or None,
        }


class Denial(NamedTuple):
    """Why an organization's bucket cannot be used while those of others can: an error's name, and its words."""

    name: str
    reason: str


def fair_share(kinds: Iterable[Sequence[Problem]], most: int) -> list[Problem]:
    """Return the first `most` problems of all kinds, the gravest kind first: none is crowded out by thousands of another.

    Each kind gets an equal share; places that it does not need go to the gravest first.
    """
    filled = [kind for kind in kinds if kind]
    taken = [min(len(kind), most // len(filled)) for kind in filled]
    for index, kind in enumerate(filled):
        taken[index] += min(len(kind) - taken[index], most - sum(taken))
    return [problem for kind, count in zip(filled, taken, strict=True) for problem in kind[:count]]
