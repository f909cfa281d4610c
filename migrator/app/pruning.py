"""Puts `prune` together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from migrator.app.migrating import new_run_id
from migrator.app.opening import held_ledger, patience_of, reading, throttle_of
from migrator.app.options import Options, Stopping
from migrator.app.ownership import Ownership, bytes_user
from migrator.app.planning import age_findings, first_look, refuse_idle_limits
from migrator.errors import CannotStart, Interrupted, MigratorError, MustStop, StoreError
from migrator.firstlook import refuse_errors
from migrator.ledger import Ledger
from migrator.model import Entry, Finding, FindingStatus
from migrator.protocols import Source
from migrator.prune import Ends, ManifestOfRun, Proving, Pruned, Pruning, ReadSmall, Remover
from migrator.reports.prune import PruneReport
from migrator.reports.report import MAX_DURATION, status_when_interrupted
from migrator.settings import DiskLocation, Location, Locations
from migrator.stores.disk import DiskSource
from migrator.stores.disk_remover import DiskRemover
from migrator.stores.s3.remove import S3Remover, keeps_versions
from migrator.stores.s3.store import S3Source

_SMALL = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneWish:
    """What was asked for. `confirmed` is the number of files that shall go; None asks `confirm`, or is a dry run without it."""

    confirmed: int | None
    max_delete: int
    active: tuple[Location, ...]
    confirm: Callable[[Pruned], int | None] | None = None

    @property
    def may_delete(self) -> bool:
        return self.confirmed is not None or self.confirm is not None


def prune(
    locations: Locations, options: Options, wish: PruneWish, told: Callable[[str, int], None], stopping: Stopping
) -> PruneReport:
    """Prove, and delete what is proven if the number is confirmed. Raises MigratorError where nothing was deleted."""
    started, run_id = time.monotonic(), new_run_id()
    refuse_idle_limits(locations, options)
    _refuse_active(locations, wish.active)
    patience, throttle = patience_of(options, stopping.event), throttle_of(options, stopping.event)
    with ExitStack() as stack:
        source = stack.enter_context(reading(locations.source, patience, throttle))
        target = stack.enter_context(reading(locations.target, patience, throttle))
        prepared = first_look(locations, options, source, target)
        findings = (*prepared.findings, *_kept_versions(source, prepared.look.organizations, options))
        findings += _refuse_closed(locations, options, wish, stopping)
        ends = Ends(
            source=source,
            target=target,
            small_source=_small(source),
            small_target=_small(target),
            settle=target.settle if isinstance(target, DiskSource) else lambda: None,
        )
        written = None
        if wish.may_delete:
            ledger = stack.enter_context(held_ledger(locations, options))
            manifest = ManifestOfRun(options.state.path / "manifests" / run_id)
            manifest.prepare()
            written = manifest, ledger
        count = _counting(told, started, options, stopping)
        proving = Proving(
            ends, ages=options.ages, refused=prepared.refused, stopping=stopping.event, told=count("proven")
        )
        error: MigratorError | None = None
        remover: Remover | None = None
        is_dry = True
        try:
            proving.run(prepared.look.organizations, written[0] if written else None)
            if written and _is_confirmed(wish, proving.pruned, proving.pruned.overall().deletable.files):
                is_dry = False
                remover = stack.enter_context(_remover(locations.source, source, run_id))
                pruning = Pruning(ends, remover, proving.pruned, stopping=stopping.event, told=count("deleted"))
                with _recorded(written[1], run_id, locations, proving.pruned, stopping):
                    pruning.run(written[0], prepared.look.organizations)
        except Interrupted:
            pass
        except MigratorError as caught:
            if is_dry:
                raise
            error = caught
        finally:
            if written and is_dry:
                written[0].discard()  # nothing went
    return PruneReport(
        run=run_id,
        source=str(locations.source),
        target=str(locations.target),
        dry_run=is_dry,
        pruned=proving.pruned,
        findings=(*findings, *_guard_findings(wish, proving.pruned), *_remover_findings(remover)),
        manifest=str(written[0].folder) if written and not is_dry else None,
        seconds=time.monotonic() - started,
        interrupted_by=stopping.signal,
        error=error,
    )


def _remover_findings(remover: Remover | None) -> tuple[Finding, ...]:
    """What the server does not do, and what was done instead."""
    if not isinstance(remover, S3Remover) or not remover.deletes_one_by_one:
        return ()
    return (
        Finding(
            name="server-abilities",
            status=FindingStatus.WARNING,
            seen="This server refuses DeleteObjects, so the raw files were deleted one by one.",
            why="Nothing is lost by it; it costs requests and time.",
        ),
    )


def _refuse_closed(locations: Locations, options: Options, wish: PruneWish, stopping: Stopping) -> tuple[Finding, ...]:
    """What was found of owners and modes at the target. Raises CannotStart where Bytes' user is known to be kept out of the only copies."""
    found = Ownership(locations.target, options, stopping=stopping.event).look()
    user = bytes_user(locations.target, options)
    if wish.may_delete and user is not None and user.uid is not None:
        refuse_errors(found, options.forced)
    return found


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


def _is_confirmed(wish: PruneWish, pruned: Pruned, number: int) -> bool:
    if not number and not wish.confirmed:
        return False
    if number > wish.max_delete:
        raise CannotStart(
            "too-many-to-delete",
            f"{number:,} files would be deleted, more than --max-delete {wish.max_delete:,} allows.",
            why="The guard is there for a wrong location or a filter that was forgotten.",
            cure=f"Take fewer by --organization or --older-than, or allow it with --max-delete {number}. Nothing was deleted.",
        )
    confirmed = wish.confirmed
    if confirmed is None and wish.confirm is not None:
        confirmed = wish.confirm(pruned)
        if confirmed is None:
            return False
    if confirmed != number:
        raise CannotStart(
            "confirm-differs",
            f"{confirmed:,} files were confirmed, and {number:,} would be deleted.",
            why="The number stands for having seen what goes. Something changed since, or it is a wrong one.",
            cure=f"Look once more without --confirm; then --confirm {number}. Nothing was deleted.",
        )
    return True


def _guard_findings(wish: PruneWish, pruned: Pruned) -> tuple[Finding, ...]:
    number = pruned.overall().deletable.files
    if number <= wish.max_delete:
        return ()
    return (
        Finding(
            name="too-many-to-delete",
            status=FindingStatus.WARNING,
            seen=f"{number:,} files could be deleted, more than --max-delete {wish.max_delete:,} allows.",
            cure=f"Take fewer by --organization or --older-than, or allow it with --max-delete {number}.",
        ),
    )


def _refuse_active(locations: Locations, active: tuple[Location, ...]) -> None:
    for location in active:
        if location.identity == locations.source.identity:
            raise CannotStart(
                "bytes-reads-the-source",
                f"Bytes' settings still point at {locations.source}.",
                why="Bytes would find none of the raw files that are deleted there.",
                cure="Switch Bytes to the other place first, look that it works, and give its new settings here (--env-file).",
            )


def _kept_versions(source: Source, organizations: tuple[str, ...], options: Options) -> Iterator[Finding]:
    yield from age_findings_of(source, options)
    if not isinstance(source, S3Source):
        return
    found = {
        bucket: keeps_versions(source.client, bucket) for bucket in {source.bucket_of(name) for name in organizations}
    }
    versioned = sorted(bucket for bucket, (versions, _) in found.items() if versions)
    locked = sorted(bucket for bucket, (_, locks) in found.items() if locks)
    if versioned:
        yield Finding(
            name="bucket-versioned",
            status=FindingStatus.WARNING,
            seen=f"Versions are kept in {', '.join(versioned[:10])}.",
            why="Deleting hides raw files there and frees no space: their versions stay.",
            cure="A lifecycle rule for noncurrent versions frees it.",
        )
    if locked:
        yield Finding(
            name="bucket-locked",
            status=FindingStatus.WARNING,
            seen=f"{', '.join(locked[:10])} is under object lock.",
            why="Versions that are retained or held cannot be removed before their time.",
            cure="Wait until their retention ends.",
        )


def age_findings_of(source: Source, options: Options) -> tuple[Finding, ...]:
    return age_findings(source.location, options.ages) if isinstance(source, S3Source) else ()


def _small(store: Source) -> ReadSmall:
    """How the store gives small raw files in one go."""
    if isinstance(store, DiskSource):
        return lambda raw_file, size: _or_none(lambda: store.read_whole(raw_file, _SMALL))
    if isinstance(store, S3Source):
        return lambda raw_file, size: _or_none(lambda: store.read_small(raw_file, size))
    return lambda raw_file, size: None


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
        yield S3Remover(source)


@contextmanager
def _recorded(ledger: Ledger, run_id: str, locations: Locations, pruned: Pruned, stopping: Stopping) -> Iterator[None]:
    """`status` shows the run; what was finished is not relied on any more."""
    source, target = str(locations.source), str(locations.target)
    ledger.begin_run(run_id, "prune", source, target, settings_fingerprint="", started_at=time.time())
    for organization in pruned.organizations:
        ledger.forget_finished(organization)

    def end(status: int) -> None:
        ledger.record_problems(run_id, pruned.problems)
        ledger.end_run(run_id, exit_status=status, ended_at=time.time(), totals={})

    try:
        yield
    except BaseException as error:
        status = error.exit_status if isinstance(error, MigratorError) else MustStop.exit_status
        with suppress(MigratorError):  # what ended it is told, and not that the ledger has no room either
            end(status_when_interrupted(stopping.signal) if isinstance(error, Interrupted) else status)
        raise
    is_whole = not stopping.signal
    end(int(bool(pruned.problems_total)) if is_whole else status_when_interrupted(stopping.signal))
