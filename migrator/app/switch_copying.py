"""Copies everything for a switch, and refuses to go on where a raw file is missing or another one at the new place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from migrator.app.catching_up import CaughtUp, catch_up, lacking_in
from migrator.app.first_check_result import Prepared
from migrator.app.migrating import migrate
from migrator.app.options import Options, Watch
from migrator.app.reread_both_ends import read_both
from migrator.app.stopping import Stopping
from migrator.app.store_factory import is_there, patience_of, reading
from migrator.app.switch_api_proof import sha256_at
from migrator.app.switch_rollback import named
from migrator.app.verifying import VerifyRequest, verify_both
from migrator.checks.prover import Level
from migrator.config.locations import Location, Locations
from migrator.core.entities import RawFile
from migrator.core.errors import MigratorError, MustStop
from migrator.core.notices import ignore_notice
from migrator.core.outcomes import Outcome

_LISTS_THEM = "`bytes-migrator verify --level content` lists what differs."
_COPY_PASSES = 3
_LATE_PASSES = 3
NOT_STOPPED = "Bytes was not stopped"
TAKEN_BACK = "Bytes is given its old settings again"


def copy_all(
    prepared: Prepared,
    options: Options,
    watch: Watch,
    stopping: Stopping,
    *,
    outcome: str,
    refuse_stopping: Callable[[], None],
) -> None:
    """Copy everything. A raw file that Bytes was just writing fails a pass and not the next one.

    `outcome` is what becomes of Bytes where that fails. Raises MustStop.
    """
    target = str(prepared.locations.target)
    for left in reversed(range(_COPY_PASSES)):
        report = migrate(prepared, options, watch, stopping)
        refuse_stopping()
        tally = report.overall
        if report.is_forbidden or tally.closed.files:
            refuse_lacking(
                [f"Bytes cannot use what lies there, see `bytes-migrator report {report.run}`"], target, outcome
            )
        lacking = lacking_in(report, prepared.locations, options)
        if not lacking:
            return
        if not left or tally[Outcome.CONFLICT].files or tally[Outcome.REFUSED].files:
            refuse_lacking(lacking, target, outcome)


def catch_up_whole(locations: Locations, options: Options, *, seconds: float) -> tuple[CaughtUp, int]:
    """Copy what came to the source, until a pass finds nothing more; return the last pass, and how many raw files all of them copied.

    Where the last one allowed still found something, it is unsure: something saves there.
    """
    copied = 0
    for left in reversed(range(_LATE_PASSES)):
        found = catch_up(locations, options, is_back=False, seconds=seconds)
        copied += found.copied
        if not found.is_whole or not found.copied:
            return found, copied
        if not left:
            break
    return CaughtUp(unsure="Raw files still come to the old place."), copied


def refuse_another_content(locations: Locations, options: Options, watch: Watch, stopping: Stopping) -> None:
    """Prove what is at the target already: where another content lies there, that is what Bytes would get.

    Raises:
        MustStop: If one is not proven.
    """
    request = VerifyRequest(level=Level.ETAG, shows_progress=False)
    tally = verify_both(locations, options, request, watch, stopping).overall
    unequal = tally[Outcome.CONFLICT].files + tally[Outcome.UNPROVEN].files
    if unequal:
        raise MustStop(
            "read-through-conflict",
            f"{unequal} raw files at {locations.target} are not proven to be the same as in the data folder.",
            why="nginx asks S3 first, so Bytes would get that one.",
            cure="`bytes-migrator verify` with the same locations lists them. Bytes was not stopped.",
        )


def refuse_unequal(
    sample: Sequence[RawFile], locations: Locations, options: Options, stopping: Stopping, refuse: Callable[[], None]
) -> None:
    """Read these raw files at both ends; `refuse` raises where the switch was asked to stop.

    Raises:
        MustStop: If one is not the same.
    """
    patience = patience_of(options, stopping.event)
    with reading(locations.source, patience) as source, reading(locations.target, patience) as target:
        for raw_file, reason in read_both(sample, source, target):
            if reason:
                raise MustStop(
                    "switch-unequal",
                    f"{source.describe(raw_file)} is not the same at both ends: {reason}.",
                    cure=_LISTS_THEM,
                )
            refuse()


def refuse_unreadable(sample: Sequence[RawFile], locations: Locations, options: Options, stopping: Stopping) -> None:
    """Read these raw files at the target alone, which were compared before.

    Raises:
        MustStop: If one is not there, or cannot be read.
    """
    with reading(locations.target, patience_of(options, stopping.event)) as target:
        for raw_file in sample:
            if not sha256_at(target, raw_file):
                raise MustStop(
                    "switch-unequal",
                    f"{target.describe(raw_file)} is not there any more.",
                    cure=_LISTS_THEM,
                )


def answers(location: Location, options: Options, stopping: Stopping) -> bool:
    """Return whether this end can be listed at this moment."""
    try:
        with reading(location, patience_of(options, stopping.event)) as store:
            next(store.organizations(ignore_notice), None)
    except MigratorError:
        return False
    return is_there(location)


def refuse_lacking(lacking: Sequence[str], target: str, outcome: str) -> None:
    """Refuse to go on to a place that lacks a raw file; `outcome` is what becomes of Bytes.

    Raises:
        MustStop: If one is lacking.
    """
    if lacking:
        raise MustStop(
            "switch-not-whole",
            f"Not every raw file could be copied to {target}, so {outcome}: {named(lacking)}",
            why="`bytes-migrator report` lists them with their reasons.",
            cure="Fix what it lists, then rerun.",
        )
