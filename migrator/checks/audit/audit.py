"""The audit: the rows of Bytes' database, merged with what lies at the location that Bytes is asked about.

Rows and listing ascend alike, so that memory does not grow with either. What is not there is looked up at the other location, a shard at
a time and only where something is missing. Nothing here writes, by type.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from migrator.checks.audit.content_check import ContentVerdict, RecordProof, RecordProver
from migrator.checks.audit.database_row import Recorded
from migrator.checks.audit.merging import Elsewhere, by_organization, merged
from migrator.checks.audit.tally import Audited, AuditTally, Kind
from migrator.checks.sample import AuditSample
from migrator.config.time_filter import Ages
from migrator.core.cancellation import Flag
from migrator.core.entities import Entry, RawFile, RawId, Shard
from migrator.core.errors import BucketMissing, Interrupted, MustStop, StoreError, Unavailable
from migrator.core.naming import is_organization
from migrator.core.notices import Notice, NoticeKind, Problem
from migrator.core.outcomes import Outcome
from migrator.core.protocols import Source
from migrator.sync.compare import ascending
from migrator.sync.messages import ProgressEvent

ALL_ALIKE = 100
"""If so many contents in a row end alike, and none ended otherwise before, so would all others."""
_SEND_AFTER_ROWS = 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


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
        self._elsewhere = Elsewhere(places.source, "")

    def run(self, rows: Iterable[Recorded], organizations: Sequence[str]) -> None:
        """Work through the rows, and the listings of these organizations too. Raises MigratorError; ends early when asked to stop."""
        for organization, group in by_organization(rows, organizations):
            self._begin(organization)
            for row, entry in merged(group, self._entries(organization)):
                if self._stopping.is_set():
                    break
                if row is not None:
                    if not self._ages or (row.ended_us is not None and self._ages.admits(row.ended_us / 1_000_000)):
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
        self._elsewhere = Elsewhere(self._places.source if is_organization(organization) else None, organization)

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
