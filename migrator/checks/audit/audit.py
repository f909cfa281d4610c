"""The audit: the rows of Bytes' database, merged with what lies at the location that Bytes is asked about.

Rows and listing ascend alike, so that memory does not grow with either. What is not there is looked up at the other location, a shard at
a time and only where something is missing. Nothing here writes, by type.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from migrator.checks.audit.content_check import ContentVerdict, RecordProof, RecordProver
from migrator.checks.audit.records import Recorded
from migrator.config.time_filter import Ages
from migrator.core.cancellation import Flag
from migrator.core.entities import Entry, RawFile, RawId, Shard
from migrator.core.errors import BucketMissing, Interrupted, MustStop, StoreError, Unavailable
from migrator.core.naming import is_organization
from migrator.core.outcomes import Notice, NoticeKind, Outcome, Problem, ignore_notice
from migrator.core.protocols import Source
from migrator.core.tally import Count
from migrator.sync.compare import ascending
from migrator.sync.messages import ProgressEvent

PROBLEMS_OF_A_KIND = 1_000
ALL_ALIKE = 100
"""If so many contents in a row end alike, and none ended otherwise before, so would all others."""
_SEND_AFTER_ROWS = 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Kind(Enum):
    """What the operator is told of one raw file; the gravest first."""

    __hash__ = object.__hash__

    ALTERED = "altered"
    UNDECODABLE = "undecodable"
    FAILED = "failed"
    MISSING = "missing"
    CLOSED = "closed"
    ELSEWHERE = "elsewhere"
    UNREADABLE_FOLDER = "unreadable-folder"
    API = "api"
    UNHASHED = "unhashed"
    ORPHANED = "orphaned"


@dataclass(slots=True)
class AuditTally:
    """What became of the rows of an organization, or of all.

    `closed` are there, and Bytes' user may not read them.
    `unhashed`, `altered`, `undecodable`, `proven` and `failed` are parts of `readable`; `orphaned` stands outside. Bytes are of what was
    seen.
    """

    readable: Count = field(default_factory=Count)
    closed: Count = field(default_factory=Count)
    elsewhere: Count = field(default_factory=Count)
    missing: Count = field(default_factory=Count)
    orphaned: Count = field(default_factory=Count)
    unhashed: Count = field(default_factory=Count)
    altered: Count = field(default_factory=Count)
    undecodable: Count = field(default_factory=Count)
    proven: Count = field(default_factory=Count)
    failed: Count = field(default_factory=Count)

    @property
    def rows(self) -> Count:
        """Every row that was asked about: the sum of its four fates, by definition."""
        return Count.sum((self.readable, self.closed, self.elsewhere, self.missing))

    def merge(self, other: AuditTally) -> None:
        """Add every count of another tally."""
        for name in AuditTally.__slots__:
            getattr(self, name).merge(getattr(other, name))

    @property
    def is_clean(self) -> bool:
        """Every row is readable, and nothing is known to be other than it was recorded."""
        bad = (self.closed, self.elsewhere, self.missing, self.altered, self.undecodable, self.failed)
        return not any(count.files for count in bad)

    def as_dict(self) -> dict[str, dict[str, int]]:
        """The totals of ``--json``."""
        names = ("rows", "readable", "closed", "elsewhere", "missing", "orphaned", "unhashed", "altered", "undecodable")
        return {name: getattr(self, name).as_dict() for name in names}


@dataclass(slots=True)
class Audited:
    """What an audit has come to. Problems are kept by kind, the first thousand of each: a million files elsewhere hide no altered one."""

    organizations: dict[str, AuditTally] = field(default_factory=dict)
    problems: dict[Kind, list[Problem]] = field(default_factory=lambda: {kind: [] for kind in Kind})
    problems_total: int = 0
    unreadable_folders: int = 0
    unlistable: dict[str, str] = field(default_factory=dict)
    missing_span: tuple[int, int] | None = None

    def missing_between(self, ended_us: int) -> None:
        """Widen the time between the first and the last scan whose raw file is missing, in microseconds since the epoch."""
        first, last = self.missing_span or (ended_us, ended_us)
        self.missing_span = (min(first, ended_us), max(last, ended_us))

    def overall(self) -> AuditTally:
        """Return the sum of all organizations."""
        total = AuditTally()
        for tally in self.organizations.values():
            total.merge(tally)
        return total

    def add_problem(self, kind: Kind, problem: Problem) -> None:
        """Count a problem, and keep it if few of its kind are kept yet."""
        self.problems_total += 1
        if len(self.problems[kind]) < PROBLEMS_OF_A_KIND:
            self.problems[kind].append(problem)

    def first_problems(self, most: int) -> list[Problem]:
        """So many problems, the gravest first."""
        return [problem for kind in Kind for problem in self.problems[kind]][:most]


class AuditSample:
    """So many rows of a stream of unknown length, the same ones for the same seed and rows, each as likely as any other."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._key = str(seed).encode()[:64]
        self._kept: list[tuple[int, str, Recorded]] = []

    def offer(self, row: Recorded) -> None:
        """Keep the row if its keyed digest is among the smallest: a sample that every pass draws alike."""
        name = f"{row.organization}/{row.raw_id}"
        drawn = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), key=self._key, digest_size=8).digest()
        rank = -int.from_bytes(drawn, "big")
        if len(self._kept) < self._size:
            heapq.heappush(self._kept, (rank, name, row))
        elif rank > self._kept[0][0]:
            heapq.heapreplace(self._kept, (rank, name, row))

    def rows(self) -> list[Recorded]:
        """The sample, ascending."""
        return sorted(row for _, _, row in self._kept)


class _UnderWay(NamedTuple):
    """A content that is being proven."""

    row: Recorded
    entry: Entry
    proof: Future[RecordProof]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedEnds:
    """Where to look: at `target`, and at `source` (None: nowhere) for what is not there.

    `why_closed` says why Bytes' user may not read a raw file at the target, empty where it may; `broken_rule` why the target can have no
    place for an organization, None where it can.
    """

    target: Source
    source: Source | None
    broken_rule: Callable[[str], str | None]
    why_closed: Callable[[RawFile], str] = lambda raw_file: ""


class Audit:
    """One pass over rows and listing. Used by one thread."""

    def __init__(
        self,
        places: AuditedEnds,
        *,
        prover: RecordProver | None,
        sample: AuditSample | None,
        ages: Ages,
        stopping: Flag,
        send: Callable[[ProgressEvent], None],
    ) -> None:
        self.audited = Audited()
        self._places = places
        self._prover = prover
        self._sample = sample
        self._ages = ages
        self._stopping = stopping
        self._send = send
        self._under_way: deque[_UnderWay] = deque()
        self._alike: list[ContentVerdict] | None = []
        self._draft = ProgressEvent(organization="")
        self._unsent_rows = 0
        self._tally = AuditTally()
        self._elsewhere = _Elsewhere(places.source, "")

    def run(self, rows: Iterable[Recorded], organizations: Sequence[str]) -> None:
        """Work through the rows, and the listings of these organizations too. Raises MigratorError; ends early when asked to stop."""
        for organization, group in _by_organization(rows, organizations):
            self._begin(organization)
            for row, entry in _merged(group, self._entries(organization)):
                if self._stopping.is_set():
                    break
                if row is not None:
                    if not self._ages or self._is_of_age(row):
                        self._row(row, entry)
                elif entry is not None:
                    self._orphan(entry)
            self._settle(0)
            self._show()
            if self._stopping.is_set():
                return

    def _begin(self, organization: str) -> None:
        self._tally = self.audited.organizations.setdefault(organization, AuditTally())
        self._draft = ProgressEvent(organization=organization)
        self._elsewhere = _Elsewhere(self._places.source if is_organization(organization) else None, organization)

    def _is_of_age(self, row: Recorded) -> bool:
        """Whether it ended at a time that was asked for; a row without a time is of no age."""
        return row.ended_us is not None and self._ages.admits(row.ended_us / 1_000_000)

    # --- rows --------------------------------------------------------------------------------------------------------

    def _row(self, row: Recorded, entry: Entry | None) -> None:
        if self._sample is not None:
            self._sample.offer(row)
        if entry is None:
            self._absent(row, self._elsewhere.find(row.raw_id))
        elif why := self._places.why_closed(RawFile(row.organization, row.raw_id)):
            self._tally.closed.add(entry.size)
            self._problem(Kind.CLOSED, row, why, entry.size)
            self._count(entry.size)
        elif self._prover is None or not row.is_provable:
            self._readable(row, entry)
        else:
            self._under_way.append(_UnderWay(row, entry, self._prover.begin(row, entry)))
            self._settle(self._prover.window)

    def _absent(self, row: Recorded, elsewhere: Entry | None, why: str = "there is no such file") -> None:
        if elsewhere is not None:
            self._tally.elsewhere.add(elsewhere.size)
            self._problem(Kind.ELSEWHERE, row, "it is only at the other location", elsewhere.size)
        else:
            self._tally.missing.add(0)
            self._problem(Kind.MISSING, row, f"{why}; {_when(row)}")
            if row.ended_us:
                self.audited.missing_between(row.ended_us)
        self._count(0)

    def _readable(self, row: Recorded, entry: Entry) -> None:
        self._tally.readable.add(entry.size)
        if not row.is_provable:
            self._tally.unhashed.add(entry.size)
            lacks = "digest of Bytes'" if not row.is_hashed else "ended_at, which is a part of the digest"
            self._problem(Kind.UNHASHED, row, f"its row has no {lacks}", entry.size)
        self._count(entry.size)

    def _orphan(self, entry: Entry) -> None:
        if self._ages:
            return  # its row may lie outside of the ages that were asked for
        self._tally.orphaned.add(entry.size)
        organization = self._draft.organization
        self._add_problem(Kind.ORPHANED, organization, entry.raw_id, "no row of the database names it", entry.size)

    # --- contents ----------------------------------------------------------------------------------------------------

    def _settle(self, most: int) -> None:
        """Take down contents until no more than so many are under way."""
        while len(self._under_way) > most:
            row, entry, proof = self._under_way.popleft()
            if self._prover is not None:
                self._proven(row, entry, self._prover.result(row, proof))

    def _proven(self, row: Recorded, entry: Entry, proof: RecordProof) -> None:
        if isinstance(proof.error, Interrupted):
            return  # as those that were not come to
        if proof.ended is ContentVerdict.VANISHED:
            self._absent(row, self._elsewhere.stat(row.raw_id), proof.reason)
            return
        self._readable(row, entry)
        self._stop_if_all_are_alike(proof)
        tally = self._tally
        if proof.ended is ContentVerdict.PROVEN:
            tally.proven.add(entry.size)
            return
        count, kind = {
            ContentVerdict.ALTERED: (tally.altered, Kind.ALTERED),
            ContentVerdict.UNDECODABLE: (tally.undecodable, Kind.UNDECODABLE),
            ContentVerdict.FAILED: (tally.failed, Kind.FAILED),
        }[proof.ended]
        count.add(entry.size)
        self._problem(kind, row, proof.reason, entry.size)

    def _stop_if_all_are_alike(self, proof: RecordProof) -> None:
        """Stop when the first hundred could not be opened, or not be read: it is one cause, and one message.

        Raises:
            MustStop: If so: wrong keys, or lost rights.
        """
        if proof.ended not in (ContentVerdict.UNDECODABLE, ContentVerdict.FAILED) or self._alike is None:
            self._alike = None
            return
        self._alike.append(proof.ended)
        if len(self._alike) < ALL_ALIKE:
            return
        if set(self._alike) == {ContentVerdict.UNDECODABLE}:
            raise MustStop(
                "nacl-keys-wrong",
                f"Not one of the first {ALL_ALIKE} contents could be decoded: {proof.reason}.",
                why=(
                    "They were saved with other keys than BYTES_PRIVATE_KEY_B64 and "
                    "BYTES_PUBLIC_KEY_B64, or without encryption."
                ),
                cure="Give BYTES_ENCRYPTION_MIDDLEWARE and both keys as they were then.",
            )
        raise MustStop(
            "contents-unreadable",
            f"Not one of the first {ALL_ALIKE} contents could be read: {proof.reason}",
            why=proof.error.why if proof.error is not None else "",
            cure=(proof.error.cure if proof.error is not None else "") or "Run this as a user that may read them.",
        )

    # --- listing -----------------------------------------------------------------------------------------------------

    def _entries(self, organization: str) -> Iterator[Entry]:
        """Yield what the target lists, nothing where its place cannot be there.

        Raises:
            Unavailable: If the target does not answer.
            StoreError: If the listing fails otherwise, unless the bucket is missing or its name is invalid.
        """
        if not is_organization(organization):
            self.audited.unlistable[organization] = "no organization can have this code"
            return
        rule = self._places.broken_rule(organization)
        try:
            yield from ascending(self._places.target.scan(Shard(organization), self._notify), "location")
        except Unavailable:
            raise
        except StoreError as error:
            if rule is not None:
                self.audited.unlistable[organization] = rule
            elif not isinstance(error, BucketMissing):
                raise

    def _notify(self, notice: Notice) -> None:
        """Strays are no raw files; a folder that cannot be read may hold some."""
        if notice.kind is NoticeKind.UNREADABLE_FOLDER:
            self.audited.unreadable_folders += 1
            problem = Problem(Kind.UNREADABLE_FOLDER.value, notice.organization, notice.where, notice.reason)
            self.audited.add_problem(Kind.UNREADABLE_FOLDER, problem)
            self._draft.problems.append(problem)

    # --- telling -----------------------------------------------------------------------------------------------------

    def _problem(self, kind: Kind, row: Recorded, reason: str, size: int = 0) -> None:
        self._add_problem(kind, row.organization, row.raw_id, reason, size)

    def _add_problem(self, kind: Kind, organization: str, raw_id: RawId, reason: str, size: int) -> None:
        place = (
            self._places.source if kind is Kind.ELSEWHERE and self._places.source is not None else self._places.target
        )
        where = place.describe(RawFile(organization, raw_id))
        problem = Problem(kind.value, organization, where, reason, raw_id, size)
        self.audited.add_problem(kind, problem)
        if kind is not Kind.ORPHANED:
            self._draft.problems.append(problem)
            return
        self._draft.extra.append(problem)
        if len(self._draft.extra) >= _SEND_AFTER_ROWS:
            self._show()

    def _count(self, size: int) -> None:
        self._draft.tally[Outcome.PRESENT].add(size)
        self._unsent_rows += 1
        if self._unsent_rows >= _SEND_AFTER_ROWS:
            self._show()

    def _show(self) -> None:
        """Progress: an event that the observers of every command know."""
        event, self._draft = self._draft, ProgressEvent(organization=self._draft.organization)
        self._unsent_rows = 0
        self._send(event)


def moment_of(ended_us: int) -> str:
    """Microseconds since the epoch → '2026-01-02 03:04:05 UTC'."""
    return (_EPOCH + timedelta(microseconds=ended_us)).strftime("%Y-%m-%d %H:%M:%S UTC")


def _when(row: Recorded) -> str:
    return f"its scan ended {moment_of(row.ended_us)}" if row.ended_us else "its row has no time"


class _Elsewhere:
    """The other location's raw files of one organization, asked for in ascending order; only shards that are asked for are listed."""

    def __init__(self, source: Source | None, organization: str) -> None:
        self._source = source
        self._organization = organization
        self._length: int | None = None
        self._shard = ""
        self._entries: Iterator[Entry] = iter(())
        self._next: Entry | None = None

    def find(self, raw_id: RawId) -> Entry | None:
        """The entry of a raw id that comes after all that were asked for before; None where there is none."""
        if self._source is None:
            return None
        try:
            self._open_shard_of(self._source, raw_id)
            while self._next is not None and self._next.raw_id < raw_id:
                self._next = next(self._entries, None)
        except BucketMissing:
            self._source = None
            return None
        return self._next if self._next is not None and self._next.raw_id == raw_id else None

    def stat(self, raw_id: RawId) -> Entry | None:
        """The same for any raw id, by a request for it alone."""
        return self._source.stat(RawFile(self._organization, raw_id)) if self._source is not None else None

    def _open_shard_of(self, source: Source, raw_id: RawId) -> None:
        if self._length is None:
            self._length = source.shard_length(self._organization)
        elif raw_id.startswith(self._shard):
            return
        self._shard = raw_id[: self._length]
        self._entries = source.scan(Shard(self._organization, self._shard), ignore_notice)
        self._next = next(self._entries, None)


def _by_organization(
    rows: Iterable[Recorded], organizations: Sequence[str]
) -> Iterator[tuple[str, Iterable[Recorded]]]:
    """Yield the rows of each organization, ascending, with those that have no row in their places.

    Raises:
        MustStop: If the rows do not ascend.
    """
    waiting = deque(organizations)
    last: str | None = None
    for organization, group in groupby(rows, key=itemgetter(0)):
        if last is not None and organization <= last:
            raise MustStop(
                "rows-out-of-order",
                f"The database's rows are out of order: {organization!r} came after {last!r}.",
                why="Comparing them would call existing files missing.",
                cure="Nothing was decided from it. Report it with the version of PostgreSQL.",
            )
        last = organization
        while waiting and waiting[0] < organization:
            yield waiting.popleft(), ()
        if waiting and waiting[0] == organization:
            waiting.popleft()
        yield organization, group
    yield from ((organization, ()) for organization in waiting)


def _merged(rows: Iterable[Recorded], entries: Iterator[Entry]) -> Iterator[tuple[Recorded | None, Entry | None]]:
    """Rows with their entries, rows without, and entries without; ascending."""
    entry = next(entries, None)
    for row in ascending(rows, "database"):
        raw_id = row.raw_id
        while entry is not None and entry.raw_id < raw_id:
            yield None, entry
            entry = next(entries, None)
        if entry is not None and entry.raw_id == raw_id:
            yield row, entry
            entry = next(entries, None)
        else:
            yield row, None
    while entry is not None:
        yield None, entry
        entry = next(entries, None)
