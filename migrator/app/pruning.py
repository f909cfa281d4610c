"""Puts `prune` together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from migrator.app.bytes_calls import known_finding, newest_looks
from migrator.app.bytes_reads import AsksBytes, have_same_names, reading_findings, refuse_unknown
from migrator.app.migrating import new_run_id
from migrator.app.options import MOST_JOBS, Options, Stopping
from migrator.app.ownership import Ownership, bytes_user
from migrator.app.place_locks import Check, Ground, break_lock, ground_of, held_to_prune, mark_findings
from migrator.app.planning import age_findings, first_look, refuse_idle_limits, undated_findings
from migrator.app.prune_request import PruneWish, guard_findings, is_confirmed
from migrator.app.read_through import is_on
from migrator.app.store_factory import as_refusal, held_ledger, patience_of, reading, throttle_of
from migrator.checks.audit.audit import AuditSample
from migrator.checks.prune import ASKED, Ends, ManifestOfRun, Pruned, PruneProof, Pruning, ReadSmall, Remover
from migrator.checks.verify import Level, Prover
from migrator.config.settings import DiskLocation, Location, Locations, S3Location
from migrator.core.entities import INDEX_LENGTH, Entry, RawFile
from migrator.core.errors import Interrupted, LedgerBusy, MigratorError, MustStop, StoreError
from migrator.core.outcomes import Finding
from migrator.core.protocols import Source
from migrator.core.size_classes import SMALL_UP_TO
from migrator.doctor.findings import warned
from migrator.ledger.directory import is_running, lock_path
from migrator.ledger.ledger import Ledger
from migrator.reports.report import MAX_DURATION, status_when_interrupted
from migrator.reports.serialization import checks_as_kept
from migrator.reports.text.prune import PruneReport
from migrator.stores.disk.remover import DiskRemover
from migrator.stores.disk.source import DiskSource
from migrator.stores.lane_selection import proving_lane
from migrator.stores.s3.remover import S3Remover, keeps_versions
from migrator.stores.s3.source import S3Source
from migrator.sync.preflight import as_forced, refuse_errors
from migrator.transfer.batch_sink import FastLane


def prune(
    locations: Locations, options: Options, wish: PruneWish, told: Callable[[str, int], None], stopping: Stopping
) -> PruneReport:
    """Prove, and delete what is proven if the number is confirmed. Raises MigratorError where nothing was deleted."""
    started, run_id = time.monotonic(), new_run_id()
    refuse_idle_limits((locations.source, locations.target), options, writes=False)
    refuse_unknown(wish.place, options)
    patience, throttle = patience_of(options, stopping.event), throttle_of(options, stopping.event)
    with ExitStack() as stack:
        source = stack.enter_context(reading(locations.source, patience, throttle))
        target = stack.enter_context(reading(locations.target, patience, throttle))
        prepared = first_look(locations, options, source, target, to_write=False)
        ground = ground_of(prepared, source, target, patience)
        findings = _first_findings(ground, prepared.findings, options, wish, stopping)
        if wish.api is not None:
            wish.api.sign_in()
        run = _Run(run_id, ground, findings, options, wish, stopping, _counting(told, started, options, stopping))
        error = run.go(stack)
    return PruneReport(
        run=run_id,
        source=str(locations.source),
        target=str(locations.target),
        dry_run=run.is_dry,
        pruned=run.pruned,
        findings=(
            *findings,
            *undated_findings(options.ages, run.pruned.undated, deletes=True),
            *guard_findings(wish, run.pruned),
            *_remover_findings(run.remover),
        ),
        manifest=str(run.manifest.folder) if run.manifest and not run.is_dry else None,
        seconds=time.monotonic() - started,
        started=time.time() - (time.monotonic() - started),
        interrupted_by=stopping.signal,
        error=error,
    )


class _Run:
    """One run, once both ends were looked at: the proof of everything, and what follows it."""

    def __init__(
        self,
        run_id: str,
        ground: Ground,
        findings: tuple[Finding, ...],
        options: Options,
        wish: PruneWish,
        stopping: Stopping,
        count: Callable[[str], Callable[[int], None]],
    ) -> None:
        self._run_id, self._ground, self._options, self._wish = run_id, ground, options, wish
        self._findings = findings
        self._stopping, self._count = stopping, count
        self._asks = AsksBytes(wish.api) if wish.api is not None else None
        self.is_dry = True
        self.manifest: ManifestOfRun | None = None
        self.pruned = Pruned()
        self.remover: Remover | None = None

    def go(self, stack: ExitStack) -> MigratorError | None:
        """Prove and delete; return what ended it once something may be deleted.

        Raises:
            MigratorError: If something ends it before that.
        """
        ledger, check = None, None
        if self._wish.may_delete:
            ledger = stack.enter_context(held_ledger(self._ground.locations, self._options))
            _refuse_running(self._ground, self._options)
            check = stack.enter_context(held_to_prune(self._ground, self._run_id, self._wish.command, self._stopping))
            self.manifest = ManifestOfRun(self._options.state.path / "manifests" / self._run_id)
            self.manifest.prepare()
        try:
            ends = stack.enter_context(_ends(self._ground, self._wish, self._options, check))
            self._prove(ends)
            if ledger is not None and is_confirmed(self._wish, self.pruned, self.pruned.overall().deletable.files):
                self.is_dry = False
                self._delete(ends, ledger, stack)
        except Interrupted:
            return None
        except MigratorError as error:
            if self.is_dry:
                raise
            return error
        finally:
            if self.manifest is not None and self.is_dry:
                self.manifest.discard()  # nothing went
        return None

    def _prove(self, ends: Ends) -> None:
        sample = AuditSample(ASKED, 0) if self._asks is not None else None
        proving = PruneProof(
            ends,
            ages=self._options.ages,
            refused=self._ground.refused,
            denied=self._ground.denied,
            stopping=self._stopping.event,
            told=self._count("proven"),
            sample=sample,
            listed=self._wish.listed,
        )
        self.pruned = proving.pruned
        proving.run(self._ground.organizations, self.manifest)
        if self._asks is not None and sample is not None:
            self._asks.before([RawFile(row.organization, row.raw_id) for row in sample.rows()])

    def _delete(self, ends: Ends, ledger: Ledger, stack: ExitStack) -> None:
        locations = self._ground.locations
        self.remover = stack.enter_context(_remover(locations.source, self._ground.source, self._run_id))
        pruning = Pruning(
            ends,
            self.remover,
            self.pruned,
            stopping=self._stopping.event,
            told=self._count("deleted"),
            asks=self._asks,
        )
        if self.manifest is not None:
            with _recorded(ledger, self._run_id, locations, self.pruned, self._stopping):
                ledger.save_report(self._run_id, checks_as_kept(self._findings))
                pruning.run(self.manifest, self._ground.organizations)


def _first_findings(
    ground: Ground, seen: tuple[Finding, ...], options: Options, wish: PruneWish, stopping: Stopping
) -> tuple[Finding, ...]:
    """What is known before everything is read. Raises MigratorError for what forbids to delete."""
    reads = _refuse_read_through(ground, options, wish)
    calls = _refuse_failing_calls(ground, options, wish)
    closed = _refuse_closed(ground.locations, options, wish, stopping)
    read = reading_findings(ground.locations, wish.place, ground.organizations, options)
    with as_refusal():
        if wish.break_lock is not None:
            break_lock(ground, wish.break_lock)
        marks = () if wish.may_delete else mark_findings(ground, wish.command)
    return (
        *seen,
        *reads,
        *calls,
        *closed,
        *read,
        *marks,
        *_kept_versions(ground.source, ground.organizations, options),
    )


def _refuse_running(ground: Ground, options: Options) -> None:
    """Refuse to begin beside another run of this state folder that reads or writes one of the ends.

    No mark shows a migration of buckets.

    Raises:
        LedgerBusy: If there is one.
    """
    ends = {ground.locations.source.identity, ground.locations.target.identity}
    mine = lock_path(options.state.ledger_path(ground.locations.source.identity, ground.locations.target.identity))
    for path in options.state.ledgers():
        if lock_path(path) == mine or not is_running(path):
            continue
        ledger = Ledger.open_to_read(path)
        if ledger is None:
            continue  # damaged, or not made yet
        with ledger:
            found = ends & {ledger.source_identity, ledger.target_identity}
        if found:
            raise LedgerBusy(
                "ledger-busy",
                f"Another run uses {' and '.join(sorted(found))}.",
                why=f"The lock of its ledger {path} is held.",
                cure="Wait until it has ended, or look with `bytes-migrator status` what it does.",
            )


@contextmanager
def _ends(ground: Ground, wish: PruneWish, options: Options, check: Check | None) -> Iterator[Ends]:
    """Both ends as they are read, and where Bytes reads if that may be the source by another name of its server."""
    source, target, locations = ground.source, ground.target, ground.locations
    both = isinstance(locations.source, DiskLocation) and isinstance(locations.target, DiskLocation)
    with ExitStack() as stack:
        read = []
        for location in wish.place.locations if wish.may_delete else ():
            if location.identity == locations.target.identity:
                continue  # the target is looked at anyway
            if have_same_names(locations.source, location, ground.organizations):
                read.append((str(location), stack.enter_context(reading(location, ground.patience))))
        yield Ends(
            source=source,
            target=target,
            small_source=_small(source),
            small_target=_small(target),
            lane=stack.enter_context(_lane(source, target)),
            settle=target.settle if isinstance(target, DiskSource) else lambda: None,
            folder_of=_index_folder if both else lambda raw_file: raw_file.organization,
            is_one_folder=ground.is_one_folder,
            still_held=check or (lambda organization: None),
            read_by_bytes=tuple(read),
        )


def _index_folder(raw_file: RawFile) -> str:
    return f"{raw_file.organization}/{raw_file.raw_id[:INDEX_LENGTH]}"


def _remover_findings(remover: Remover | None) -> tuple[Finding, ...]:
    """What the server does not do, and what was done instead."""
    if not isinstance(remover, S3Remover) or not remover.deletes_one_by_one:
        return ()
    return (
        warned(
            "server-abilities",
            "This server refuses DeleteObjects, so the raw files were deleted one by one.",
            "Nothing is lost by it; it costs requests and time.",
        ),
    )


def _refuse_closed(locations: Locations, options: Options, wish: PruneWish, stopping: Stopping) -> tuple[Finding, ...]:
    """What was found of owners and modes at the target. Raises CannotStart where Bytes' user is known to be kept out of the only copies."""
    found = Ownership(locations.target, options, stopping=stopping.event).look()
    user = bytes_user(locations.target, options)
    if wish.may_delete and user is not None and user.uid is not None:
        refuse_errors(found, options.forced)
    return found


def _refuse_read_through(ground: Ground, options: Options, wish: PruneWish) -> tuple[Finding, ...]:
    """Return that read-through is on. Raises CannotStart then: the source is what Bytes reads where S3 has lost an object."""
    ends = ground.locations
    found = is_on((ends.source, ends.target, *wish.place.locations))
    if found is None:
        return ()
    if wish.may_delete:
        refuse_errors((found,), options.forced)
    return as_forced((found,), options.forced)


def _refuse_failing_calls(ground: Ground, options: Options, wish: PruneWish) -> tuple[Finding, ...]:
    """Return what earlier looks know of Bytes' calls at the target. Raises CannotStart where they fail: nobody could read what is left.

    As in `audit`, the newest look counts, whatever its age; one that failed is disproved by a new one alone.
    """
    target = ground.locations.target
    if not isinstance(target, S3Location) or not isinstance(ground.target, S3Source):
        return ()
    held = [name for name in ground.organizations if name not in ground.refused and name not in ground.denied]
    buckets = tuple(dict.fromkeys(map(ground.target.bucket_of, held)))
    known = known_finding(newest_looks(options.state, target, buckets), target)
    if known is None:
        return ()
    if wish.may_delete:
        refuse_errors((known,), options.forced)
    return as_forced((known,), options.forced)


def _counting(
    told: Callable[[str, int], None], started: float, options: Options, stopping: Stopping
) -> Callable[[str], Callable[[int], None]]:
    """Gives for "proven" and "deleted" what tells how many files were; it also ends the run when its time is over."""
    over_at = started + options.limits.duration if options.limits.duration is not None else None

    def count(what: str) -> Callable[[int], None]:
        def counted(files: int) -> None:
            if over_at is not None and time.monotonic() > over_at and not stopping.event.is_set():
                stopping.ask(MAX_DURATION)
            told(what, files)

        return counted

    return count


def _kept_versions(source: Source, organizations: tuple[str, ...], options: Options) -> Iterator[Finding]:
    yield from _age_findings_of(source, options)
    if not isinstance(source, S3Source):
        return
    found = {
        bucket: source.patience.run(partial(keeps_versions, source.client, bucket))
        for bucket in {source.bucket_of(name) for name in organizations}
    }
    versioned = sorted(bucket for bucket, (versions, _) in found.items() if versions)
    locked = sorted(bucket for bucket, (_, locks) in found.items() if locks)
    if versioned:
        yield warned(
            "bucket-versioned",
            f"Versions are kept in {', '.join(versioned[:10])}.",
            "Deleting hides raw files there and frees no space: their versions stay.",
            "A lifecycle rule for noncurrent versions frees it.",
        )
    if locked:
        yield warned(
            "bucket-locked",
            f"{', '.join(locked[:10])} is under object lock.",
            "Versions that are retained or held cannot be removed before their time.",
            "Wait until their retention ends.",
        )


def _age_findings_of(source: Source, options: Options) -> tuple[Finding, ...]:
    return age_findings(source.location, options.ages) if isinstance(source, S3Source) else ()


def _small(store: Source) -> ReadSmall:
    """How a disk gives small raw files in one go."""
    if isinstance(store, DiskSource):
        return lambda raw_file, size: _or_none(lambda: store.read_whole(raw_file, SMALL_UP_TO))
    return lambda raw_file, size: None


@contextmanager
def _lane(source: Source, target: Source) -> Iterator[FastLane | None]:
    """What reads both ends where one is on S3."""
    prover = Prover(source, target, Level.CONTENT)
    lane = proving_lane(prover, source, target, largest_window=MOST_JOBS)
    try:
        yield lane
    finally:
        if lane is not None:
            lane.close()


def _or_none(read: Callable[[], tuple[bytes, Entry] | None]) -> tuple[bytes, Entry] | None:
    try:
        return read()
    except StoreError:
        return None


@contextmanager
def _remover(location: Location, source: Source, run_id: str) -> Iterator[Remover]:
    if isinstance(location, DiskLocation):
        disk = DiskRemover(location.root, run=run_id.rpartition("-")[2])
        try:
            yield disk
        finally:
            disk.close()
    elif isinstance(source, S3Source):
        remover = S3Remover(source)
        try:
            yield remover
        finally:
            remover.close()


def _totals_of(pruned: Pruned) -> dict[str, dict[str, dict[str, int]]]:
    """What `status` and `report` show of the run, by organization."""
    return {name: tally.as_dict(dry_run=False) for name, tally in pruned.organizations.items()}


@contextmanager
def _recorded(ledger: Ledger, run_id: str, locations: Locations, pruned: Pruned, stopping: Stopping) -> Iterator[None]:
    """`status` shows the run; what was finished is not relied on any more."""
    source, target = str(locations.source), str(locations.target)
    ledger.begin_run(run_id, "prune", source, target, settings_fingerprint="", started_at=time.time())
    for organization in pruned.organizations:
        ledger.forget_finished(organization)

    def end(status: int) -> None:
        ledger.record_problems(run_id, pruned.problems)
        ledger.end_run(run_id, exit_status=status, ended_at=time.time(), totals=_totals_of(pruned))

    try:
        yield
    except BaseException as error:
        status = error.exit_status if isinstance(error, MigratorError) else MustStop.exit_status
        with suppress(MigratorError):  # what ended it is told, and not that the ledger has no room either
            end(status_when_interrupted(stopping.signal) if isinstance(error, Interrupted) else status)
        raise
    is_whole = not stopping.signal
    end(int(bool(pruned.problems_total)) if is_whole else status_when_interrupted(stopping.signal))
