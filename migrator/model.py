"""The vocabulary as values: raw files, what listings tell of them, how they compare and how they end. Pure.

Values that exist once for each raw file are named tuples: building one costs a third of a frozen dataclass,
and a scan builds millions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, NewType

RawId = NewType("RawId", str)
"""A raw file's UUID in canonical text: 36 characters, lower-case hex and hyphens (the only form that Bytes reads back)."""

INDEX_LENGTH = 3
"""Bytes' index folder is named by the first three characters of the raw id (``bytes/raw/file_raw_repository.py``)."""

HEX_DIGITS = "0123456789abcdef"

is_raw_id: Callable[[str], object] = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
).fullmatch


class RawFile(NamedTuple):
    """The opaque bytes that Bytes saved once under a raw id for an organization."""

    organization: str
    raw_id: RawId


class Entry(NamedTuple):
    """What a listing tells of a raw file.

    `size` in bytes. `etag` without quotes, None on disk or where the server lists none. `modified_ns` is the modification time on
    disk and ``LastModified`` on S3; `changed_ns` is the inode's change time (equal to `modified_ns` on S3), which no tool can set back.
    `inode` is 0 where there is none.
    """

    raw_id: RawId
    size: int
    etag: str | None = None
    modified_ns: int = 0
    changed_ns: int = 0
    inode: int = 0

    @property
    def mark(self) -> str:
        """Tells this state of the raw file from a later one: the ETag on S3, the modification time on disk."""
        return self.etag or str(self.modified_ns)


class Shard(NamedTuple):
    """A unit of work: the raw files of one organization whose ids start with `prefix` (0 to 3 hex characters)."""

    organization: str
    prefix: str = ""


class Pair(NamedTuple):
    """The two ends of one raw file; at least one of them is there."""

    raw_id: RawId
    source: Entry | None
    target: Entry | None


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

    `own_mark` is the mark of a copy of ours at the target. Under that mark it may be replaced, if it is a beginning of the raw file as it
    is now: that was still being written when it was copied.
    """

    action: Action
    source: Entry
    target: Entry | None
    own_mark: str | None = None

    @property
    def may_replace(self) -> bool:
        """What is at the target is a copy of ours, and still as we left it."""
        return self.own_mark is not None and self.target is not None and self.target.mark == self.own_mark


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


class Digests(NamedTuple):
    """What tells a content: its size in bytes, and its digests in hex."""

    size: int
    sha256: str
    md5: str


class Result(NamedTuple):
    """A raw file's outcome.

    `entry` is the source's, as it was when it was read. `reason` says why for everything but copied, present, proven and what a dry run
    would copy. `mark` tells a copy of ours at the target from anybody else's, and of a proof what it rests on; `digests` are what it found.
    `code` is the `name` of the error behind the reason, `request_id` what the server's own log knows that request by; both may be empty.
    """

    entry: Entry
    outcome: Outcome
    reason: str = ""
    mark: str = ""
    digests: Digests | None = None
    code: str = ""
    request_id: str = ""


class NoticeKind(Enum):
    """What a scan may meet besides raw files."""

    STRAY = "stray"
    UNREADABLE_FOLDER = "unreadable-folder"
    LEFT_ALONE = "left-alone"
    CLOSED = "closed"


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


class Fingerprint(NamedTuple):
    """The state of an index folder: any file that comes, goes or is renamed changes it; a file that is written to does not. Times in ns."""

    inode: int
    modified_ns: int
    changed_ns: int


class Folder(NamedTuple):
    """An index folder of a source on disk, with its state when it was looked at."""

    prefix: str
    fingerprint: Fingerprint


class FinishedFolder(NamedTuple):
    """An index folder whose raw files were found, or copied, at the target: those that had changed by `newest_ns`, and no later.

    `source` and `target` are digests of these raw files at both ends: see `migrator/finished.py`. `is_own`: this program wrote
    all of them at the target. On S3, what an index folder is on disk are the raw ids with the same first three characters.
    """

    organization: str
    prefix: str
    newest_ns: int
    source: str
    target: str
    is_own: bool
    files: int
    bytes: int


class Provisional(NamedTuple):
    """A raw file that was copied while it was still young: should it change, its copy is ours to replace.

    `mark` is the copy's `Entry.mark`, which tells it from anybody else's; `size` and `changed_ns` are the source's when it was read.
    """

    organization: str
    raw_id: RawId
    size: int
    changed_ns: int
    mark: str


class ProvenShard(NamedTuple):
    """A shard all of whose raw files were proven by a verification that was broken off later.

    `key` tells what was asked of it; `state` is a digest of what both ends listed; `proven_at` in seconds since the epoch; `sheet` the
    digest of its part of a manifest, empty without one.
    """

    organization: str
    prefix: str
    key: str
    state: str
    proven_at: float
    sheet: str = ""


class UnfinishedUpload(NamedTuple):
    """A multipart upload that this tool began and that has not become an object yet.

    `upload_id` is "" while the upload is only intended: the server has not told one yet. `part_size` in bytes; `stamp` is the source's
    `Content.stamp` when it began; `began_at` in seconds since the epoch.
    """

    organization: str
    raw_id: RawId
    bucket: str
    key: str
    upload_id: str
    part_size: int
    stamp: str
    began_at: float


@dataclass(slots=True)
class Count:
    """Files and their bytes."""

    files: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        self.files += 1
        self.bytes += size

    def merge(self, other: Count) -> None:
        self.files += other.files
        self.bytes += other.bytes

    def take(self, other: Count) -> None:
        """The opposite of `merge`."""
        self.files -= other.files
        self.bytes -= other.bytes

    def as_dict(self) -> dict[str, int]:
        return {"files": self.files, "bytes": self.bytes}


MIGRATION_OUTCOMES = tuple(outcome for outcome in Outcome if outcome not in (Outcome.PROVEN, Outcome.UNPROVEN))
"""Those that `plan` and `migrate` have."""

_PROOFS = {
    "proven": (Outcome.PROVEN,),
    "unproven": (Outcome.UNPROVEN, Outcome.PENDING, Outcome.VANISHED),
    "conflict": (Outcome.CONFLICT,),
    "missing": (Outcome.MISSING, Outcome.REFUSED),
    "failed": (Outcome.FAILED,),
}


@dataclass(slots=True)
class Tally:
    """Counted outcomes, of a shard, an organization or a run.

    `extra` (raw files only at the target) and `stray` stand outside `discovered`; `present_unseen` is the part of present that rests
    on the ledger alone. `closed` counts raw files and folders at a disk target that Bytes' user cannot use, `owner_corrected` those whose
    owner or mode was set right, or in a dry run would be; a folder counts with 0 bytes.
    """

    outcomes: dict[Outcome, Count] = field(default_factory=lambda: {outcome: Count() for outcome in Outcome})
    extra: Count = field(default_factory=Count)
    stray: Count = field(default_factory=Count)
    present_unseen: Count = field(default_factory=Count)
    closed: Count = field(default_factory=Count)
    owner_corrected: Count = field(default_factory=Count)
    unreadable_folders: int = 0

    @property
    def discovered(self) -> Count:
        """All raw files of the source that were met: the sum of the outcomes, by definition."""
        total = Count()
        for count in self.outcomes.values():
            total.merge(count)
        return total

    def __getitem__(self, outcome: Outcome) -> Count:
        return self.outcomes[outcome]

    def merge(self, other: Tally) -> None:
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome].merge(count)
        self.extra.merge(other.extra)
        self.stray.merge(other.stray)
        self.present_unseen.merge(other.present_unseen)
        self.closed.merge(other.closed)
        self.owner_corrected.merge(other.owner_corrected)
        self.unreadable_folders += other.unreadable_folders

    def taken_back(self) -> Tally:
        """What undoes this when it is merged into a sum."""
        undoing = Tally(unreadable_folders=-self.unreadable_folders)
        for outcome, count in self.outcomes.items():
            undoing[outcome].take(count)
        undoing.extra.take(self.extra)
        undoing.stray.take(self.stray)
        undoing.present_unseen.take(self.present_unseen)
        undoing.closed.take(self.closed)
        undoing.owner_corrected.take(self.owner_corrected)
        return undoing

    @property
    def is_clean(self) -> bool:
        """Everything is accounted for and nothing needs the operator."""
        bad = (Outcome.CONFLICT, Outcome.FAILED, Outcome.REFUSED, Outcome.PENDING)
        is_open = not self.unreadable_folders and not self.closed.files
        return is_open and not any(self.outcomes[outcome].files for outcome in bad)

    @property
    def beside(self) -> dict[str, Count]:
        """What stands outside `discovered`, by the names of ``--json``."""
        return {
            "extra": self.extra,
            "stray": self.stray,
            "closed": self.closed,
            "owner_corrected": self.owner_corrected,
        }

    def as_dict(self) -> dict[str, dict[str, int]]:
        """The totals of ``--json``, in the order in which they are told."""
        named = {outcome.value: self.outcomes[outcome].as_dict() for outcome in MIGRATION_OUTCOMES}
        return {
            "discovered": self.discovered.as_dict(),
            **named,
            "extra": self.extra.as_dict(),
            "stray": self.stray.as_dict(),
            "present_unseen": self.present_unseen.as_dict(),
            "closed": self.closed.as_dict(),
            "owner_corrected": self.owner_corrected.as_dict(),
        }

    @property
    def is_proven(self) -> bool:
        """All raw files that were met are proven, none may have been hidden, and Bytes' user can read them."""
        is_open = not self.unreadable_folders and not self.closed.files
        return is_open and self.discovered.files == self.outcomes[Outcome.PROVEN].files

    def as_proofs(self) -> dict[str, dict[str, int]]:
        """The totals of a verification: discovered = proven + unproven + conflict + missing + failed.

        What the run did not come to, or was deleted at the source before it could be read, is unproven; what can have no valid
        name at the target is missing there. `proven_earlier` is the part of proven that a run before this one read.
        """
        told = {"discovered": self.discovered.as_dict()}
        for name, outcomes in _PROOFS.items():
            count = Count()
            for outcome in outcomes:
                count.merge(self.outcomes[outcome])
            told[name] = count.as_dict()
        beside = {
            "extra": self.extra,
            "stray": self.stray,
            "proven_earlier": self.present_unseen,
            "closed": self.closed,
        }
        return told | {name: count.as_dict() for name, count in beside.items()}


@dataclass(slots=True)
class Shape:
    """How the raw files that were looked at are spread: by size, and by the day on which they were last changed.

    `sizes` and `moved` (the part that was, or would be, copied) have as keys how many binary digits the size has, `days` have days since
    1970. A few dozen numbers, however many raw files there are.
    """

    sizes: Counter[int] = field(default_factory=Counter)
    moved: Counter[int] = field(default_factory=Counter)
    days: Counter[int] = field(default_factory=Counter)

    def add(self, size: int, modified_ns: int, *, moved: bool) -> None:
        digits = size.bit_length()
        self.sizes[digits] += 1
        if moved:
            self.moved[digits] += 1
        day = modified_ns // _DAY_NS
        self.days[day if 0 < day < _DAYS_KNOWN else 0] += 1

    def merge(self, other: Shape) -> None:
        for mine, theirs in ((self.sizes, other.sizes), (self.moved, other.moved), (self.days, other.days)):
            mine.update(theirs)
            for key in [key for key, count in theirs.items() if count < 0 and not mine[key]]:
                del mine[key]

    def taken_back(self) -> Shape:
        """What undoes this when it is merged into a sum."""
        undoing = Shape()
        undoing.sizes.subtract(self.sizes)
        undoing.moved.subtract(self.moved)
        undoing.days.subtract(self.days)
        return undoing


_DAY_NS = 86_400 * 10**9
_DAYS_KNOWN = 365 * 200  # later than that no clock was right


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


class FindingStatus(Enum):
    """How bad a finding is; the order is the order of severity."""

    PASS = "pass"  # noqa: S105 no password
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A line of a first look: what was seen, why it matters, and the cure as a command or settings line.

    `forced`: the run goes on in spite of it, as ``--force`` asks.
    """

    name: str
    status: FindingStatus
    seen: str
    why: str = ""
    cure: str = ""
    forced: bool = False

    def as_dict(self) -> dict[str, str | bool]:
        """``forced`` is there only where it is true."""
        told: dict[str, str | bool] = {
            "name": self.name,
            "status": self.status.value,
            "seen": self.seen,
            "why": self.why,
            "cure": self.cure,
        }
        return told | {"forced": True} if self.forced else told


def shards_of(organization: str, length: int) -> Iterator[Shard]:
    """All shards of an organization with prefixes of `length` characters, ascending."""
    if length == 0:
        yield Shard(organization)
        return
    for number in range(16**length):
        yield Shard(organization, f"{number:0{length}x}")
