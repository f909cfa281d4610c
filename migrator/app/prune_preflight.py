"""What is found and refused before `prune` reads everything."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from migrator.app.bytes_call_replays import known_finding, newest_replays
from migrator.app.options import Options
from migrator.app.ownership import Ownership, bytes_user
from migrator.app.place_locks import Ground, break_lock, mark_findings
from migrator.app.prune_request import PruneWish
from migrator.app.prune_source_in_use import reading_findings
from migrator.app.read_through import is_on
from migrator.app.stopping import Stopping
from migrator.app.store_factory import as_refusal
from migrator.config.locations import Locations, S3Location
from migrator.core.errors import LedgerBusy
from migrator.core.findings import Finding
from migrator.core.protocols import Source
from migrator.doctor.finding_shorthands import warned
from migrator.ledger.directory import is_running, lock_path
from migrator.ledger.ledger import Ledger
from migrator.stores.s3.remover import keeps_versions
from migrator.stores.s3.source import S3Source
from migrator.switch.journal import SwitchJournal
from migrator.sync.source_overview import as_forced, refuse_errors


def prune_findings(
    ground: Ground, seen: tuple[Finding, ...], options: Options, wish: PruneWish, stopping: Stopping
) -> tuple[Finding, ...]:
    """What is known before everything is read. Raises MigratorError for what forbids to delete."""
    reads = _refused(_read_through(ground, options, wish), options, wish)
    calls = _refused(_failing_calls(ground, options), options, wish)
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
        *_kept_versions(ground.source, ground.organizations),
    )


def refuse_running(ground: Ground, options: Options) -> None:
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
                cure="Wait for it, or see `bytes-migrator status`.",
            )


def _refuse_closed(locations: Locations, options: Options, wish: PruneWish, stopping: Stopping) -> tuple[Finding, ...]:
    """What was found of owners and modes at the target. Raises CannotStart where Bytes' user is known to be kept out of the only copies."""
    found = Ownership(locations.target, options, stopping=stopping.event).scan()
    user = bytes_user(locations.target, options)
    if wish.may_delete and user is not None and user.uid is not None:
        refuse_errors(found, options.forced)
    return found


def _refused(found: Finding | None, options: Options, wish: PruneWish) -> tuple[Finding, ...]:
    """Return what was found, marked if it is forced. Raises CannotStart for an error that is not, where something may be deleted."""
    findings = (found,) if found is not None else ()
    if wish.may_delete:
        refuse_errors(findings, options.forced)
    return as_forced(findings, options.forced)


def _read_through(ground: Ground, options: Options, wish: PruneWish) -> Finding | None:
    """Return the error that read-through is on: the source is what Bytes reads where S3 has lost an object."""
    ends = ground.locations
    return is_on((ends.source, ends.target, *wish.place.locations), SwitchJournal(options.state).story())


def _failing_calls(ground: Ground, options: Options) -> Finding | None:
    """Return what earlier looks know of Bytes' calls that fail at the target: nobody could read what is left.

    As in `audit`, the newest look counts, whatever its age; one that failed is disproved by a new one alone.
    """
    target = ground.locations.target
    if not isinstance(target, S3Location) or not isinstance(ground.target, S3Source):
        return None
    buckets = tuple(dict.fromkeys(map(ground.target.bucket_of, ground.prepared.movable)))
    return known_finding(newest_replays(options.state, target, buckets), target)


def _kept_versions(source: Source, organizations: tuple[str, ...]) -> Iterator[Finding]:
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
            "Deleting frees no space: the versions stay.",
            "Add a lifecycle rule for noncurrent versions.",
        )
    if locked:
        yield warned(
            "bucket-locked",
            f"{', '.join(locked[:10])} is under object lock.",
            "Retained or held versions cannot be removed.",
            "Wait until their retention ends.",
        )
