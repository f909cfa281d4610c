"""What is done with a raw file, how it ends, and what an operator has to know of it. Pure values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from migrator.core.entities import Digests, Entry


class Verdict(Enum):
    """How a pair compares, in rclone's signs."""

    __hash__ = object.__hash__  # as in `Outcome`

    SAME_SIZE = "="
    DIFFERS = "*"
    SOURCE_ONLY = "+"
    TARGET_ONLY = "-"


class Action(Enum):
    """What is to be done with a raw file of the source. To vouch is to call it proven, to miss it to call it missing, by listings alone."""

    __hash__ = object.__hash__  # as in `Outcome`

    COPY = "copy"
    COMPARE = "compare"
    ACCEPT = "accept"
    VOUCH = "vouch"
    MISS = "miss"
    DIFFER = "differ"
    REFUSE = "refuse"


class Step(NamedTuple):
    """One raw file of the source and what is to be done with it.

    `own_version` is the `Entry.version` of a copy of ours at the target. While it has that version it may be replaced, if it is a
    beginning of the raw file as it is now: that was still being written when it was copied.
    """

    action: Action
    source: Entry
    target: Entry | None
    own_version: str | None = None

    @property
    def may_replace(self) -> bool:
        """What is at the target is a copy of ours, and still as we left it."""
        return self.own_version is not None and self.target is not None and self.target.version == self.own_version


class Outcome(Enum):
    """How a raw file of the source ended: exactly one of these.

    `MISSING` stands in for `COPIED` in a dry run; `verify` has proven, unproven, conflict, missing and failed.
    """

    __hash__ = object.__hash__  # members are single; Enum's own hash is a Python function, called for each raw file

    COPIED = "copied"
    PRESENT = "present"
    CONFLICT = "conflict"
    FAILED = "failed"
    REFUSED = "refused"
    VANISHED = "vanished"
    PENDING = "pending"
    MISSING = "missing"
    PROVEN = "proven"
    UNPROVEN = "unproven"


class Result(NamedTuple):
    """A raw file's outcome.

    `entry` is the source's, as it was when it was read. `reason` says why for everything but copied, present, proven and what a dry run
    would copy. `version` is the copy's `Entry.version` at the target; `evidence` says what a proof rests on, `digests` what it found.
    `code` is the `name` of the error behind the reason, `request_id` what the server's own log knows that request by; both may be empty.
    """

    entry: Entry
    outcome: Outcome
    reason: str = ""
    version: str = ""
    digests: Digests | None = None
    code: str = ""
    request_id: str = ""
    evidence: str = ""


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
