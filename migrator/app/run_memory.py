"""A run's memory: what it knows from the ledger, and what it writes there."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from migrator.app.options import Options
from migrator.app.store_factory import End
from migrator.config.locations import Location, Locations
from migrator.core.entities import FinishedFolder
from migrator.core.errors import MigratorError
from migrator.core.tally import Count
from migrator.ledger.ledger import Ledger, ledger_read
from migrator.ledger.record_codec import RunRow
from migrator.reports.stored_form import findings_in
from migrator.reports.text.findings import as_known
from migrator.sync.messages import Assignment, ProgressEvent, UploadBegan, UploadEnded
from migrator.sync.source_counter import SourceCounter
from migrator.sync.totals import Totals

_SAVE_EVERY_SECONDS = 2.0
_RUNS_LOOKED_AT = 10


class NoMemory:
    """Nothing is known, and nothing is kept.

    `runs` are the last ones between these locations, newest first; `known` are findings of theirs.
    """

    runs: Sequence[RunRow] = ()
    known: frozenset[tuple[str, str]] = frozenset()

    def finished(self, organization: str) -> Mapping[str, FinishedFolder]:
        """Return nothing."""
        return {}

    def forget_finished(self, organization: str) -> None:
        """Nothing was known."""

    def recall(self, assignment: Assignment) -> Assignment:
        """Return it as it is."""
        return assignment

    def record_upload(self, event: UploadBegan | UploadEnded) -> None:
        """A dry run begins no upload."""

    def record(self, event: ProgressEvent) -> None:
        """A dry run writes nothing."""


class OnlyReading(NoMemory):
    """A dry run compares everything anew; only which copies are provisional has to come from the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.runs = ledger.runs(_RUNS_LOOKED_AT)
        self.known = known_findings(ledger)

    def recall(self, assignment: Assignment) -> Assignment:
        """Return it with the provisional copies that the ledger has."""
        return replace(assignment, provisional=self._ledger.provisional(*assignment.shard))


def known_findings(ledger: Ledger) -> frozenset[tuple[str, str]]:
    """Name and words of the findings of the newest migration that kept its report: an operator has seen them."""
    for run in ledger.runs(_RUNS_LOOKED_AT):
        if run.command in ("verify", "prune"):  # these look at less
            continue
        kept = ledger.report(run.run_id)
        if kept is not None:
            return as_known(findings_in(kept))
    return frozenset()


@contextmanager
def only_reading(locations: Locations, options: Options) -> Iterator[NoMemory]:
    """Open the ledger for reading, as memory of a plan; without a ledger there is none."""
    with ledger_read(options.state, locations.source.identity, locations.target.identity) as ledger:
        yield OnlyReading(ledger) if ledger is not None else NoMemory()


class Record:
    """A run's memory: the ledger, written by this thread alone, one transaction for each event."""

    def __init__(self, ledger: Ledger, run_id: str, totals: Totals, *, relies_on_finished: bool = True) -> None:
        """`relies_on_finished` false: what earlier runs finished is compared again."""
        self._ledger = ledger
        self._relies_on_finished = relies_on_finished
        self.run_id = run_id
        self._totals = totals
        self._saved_at = time.monotonic()
        self.ahead: SourceCounter | None = None

    @contextmanager
    def running(self, command: str, source: End, target: Location, fingerprint: str) -> Iterator[None]:
        """Between these, `status` shows the run; an error that ends it is written down too.

        Raises:
            MigratorError: If the block raises it.
        """
        ends, now = (str(source), str(target)), time.time()
        self._ledger.begin_run(self.run_id, command, *ends, settings_fingerprint=fingerprint, started_at=now)
        try:
            yield
        except MigratorError as error:
            with suppress(MigratorError):  # a ledger that breaks may be what ended the run, and is not to hide what did
                self.end(error.exit_status)
            raise

    def finished(self, organization: str) -> Mapping[str, FinishedFolder]:
        """Return finished folders, unless --reread has each raw file looked at again."""
        return self._ledger.finished(organization) if self._relies_on_finished else {}

    def forget_finished(self, organization: str) -> None:
        """Forget the organization's finished folders."""
        self._ledger.forget_finished(organization)

    def recall(self, assignment: Assignment) -> Assignment:
        """Return it with what the ledger has; what verify proved saves a migration nothing."""
        return replace(
            assignment,
            finished=self._ledger.finished(*assignment.shard) if self._relies_on_finished else {},
            provisional=self._ledger.provisional(*assignment.shard),
            uploads=self._ledger.uploads(*assignment.shard),
        )

    def record_upload(self, event: UploadBegan | UploadEnded) -> None:
        """Write an upload down, or forget it, in a transaction of its own."""
        if isinstance(event, UploadBegan):
            self._ledger.record_upload(event.upload)
        else:
            self._ledger.forget_upload(event.upload)

    def record(self, event: ProgressEvent) -> None:
        """Write down what a worker told, in one transaction."""
        with self._ledger.transaction():
            self._ledger.record_problems(self.run_id, event.problems)
            self._ledger.forget_folders(event.outdated)
            self._ledger.record_finished(event.finished)
            self._ledger.record_provisional(event.provisional)
            self._ledger.settle_provisional(event.settled)
        self._save_now_and_then()

    def _save_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._saved_at >= _SAVE_EVERY_SECONDS:
            self._saved_at = now
            if self.ahead is not None:
                self.ahead.has_met(self._totals.overall().discovered.files)
            self._ledger.save_progress(self.run_id, self._progress(), time.time(), self._expected())

    def keep(self, report: dict[str, object]) -> None:
        """What `bytes-migrator report` shows of this run besides its totals and problems."""
        self._ledger.save_report(self.run_id, report)

    def _expected(self) -> tuple[int, int, bool] | None:
        ahead = self.ahead
        return (ahead.total.files, ahead.total.bytes, ahead.is_final) if ahead is not None else None

    def counted_earlier(self, fingerprint: str) -> dict[str, Count]:
        """What the newest migration with these settings that came to its end found at the source, by organization."""
        for row in self._ledger.runs():
            if row.command == "migrate" and row.exit_status in (0, 1) and row.settings_fingerprint == fingerprint:
                found = {name: tally.get("discovered", {}) for name, tally in row.totals.items()}
                return {name: Count(count.get("files", 0), count.get("bytes", 0)) for name, count in found.items()}
        return {}

    def begin_pass(self, totals: Totals) -> None:
        """Another pass of the same run: what `status` shows is the last one's, with its problems."""
        self._totals = totals
        self._ledger.forget_problems(self.run_id)

    def end(self, exit_status: int) -> None:
        """Write down the run's end, in seconds since the epoch, with its totals."""
        self._ledger.end_run(self.run_id, exit_status=exit_status, ended_at=time.time(), totals=self._progress())

    def _progress(self) -> dict[str, dict[str, dict[str, int]]]:
        return {organization: tally.as_dict() for organization, tally in self._totals.organizations.items()}


class ProofRecord(NoMemory, Record):
    """A verification's memory: problems, and the shards that are proven. It knows nothing of what a migration believes to have done."""

    def __init__(
        self, ledger: Ledger, run_id: str, totals: Totals, *, key: str, is_fresh: bool, max_age: float
    ) -> None:
        super().__init__(ledger, run_id, totals)
        self._key = key
        self._now = time.time()
        self._oldest_allowed = self._now - max_age
        self.sheets: dict[str, dict[str, str]] = {}
        self.relied_upon = 0
        self.oldest_seconds = 0.0
        if is_fresh:
            ledger.forget_proven()

    def recall(self, assignment: Assignment) -> Assignment:
        """Return it with an earlier proof of the shard, if that was of the same kind and is not too old."""
        found = self._ledger.proven(*assignment.shard)
        if found is None or found.key != self._key or not self._oldest_allowed <= found.proven_at <= self._now:
            return assignment
        return replace(assignment, proven=found)

    def record(self, event: ProgressEvent) -> None:
        """Write down what a worker proved, in one transaction, and count what was relied upon."""
        with self._ledger.transaction():
            self._ledger.record_problems(self.run_id, event.problems)
            self._ledger.record_proven(event.proven)
        self.sheets.setdefault(event.organization, {}).update(event.sheets)
        for shard in event.relied_upon:
            self.relied_upon += 1
            self.oldest_seconds = max(self.oldest_seconds, self._now - shard.proven_at)
        self._save_now_and_then()

    def forget_proofs(self) -> None:
        """The verification came to its end: the next one reads everything anew."""
        self._ledger.forget_proven()

    def _progress(self) -> dict[str, dict[str, dict[str, int]]]:
        return {organization: tally.as_proofs() for organization, tally in self._totals.organizations.items()}


def fingerprint_of(locations: Locations, options: Options) -> str:
    """Tells runs with other settings apart; holds no secret."""
    facts = (
        locations.source.identity,
        locations.target.identity,
        sorted(options.organizations),
        options.compare_by_size,
        options.ages,
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
