"""Copies what one end has and the other has not, while Bytes runs at one of them.

A switch does that twice: for raw files that came to the old place after the last pass, and on the way back, for what Bytes saved at the new
place. Bytes is up, so there is time, and what both ends have was compared before. A pass can end with an error though no raw file is
missing: the server was away for a moment, a raw file was still being written, another run held the ledger. So a pass is repeated, and
what it leaves open is read at both ends before it counts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from migrator.app.first_check_result import Prepared
from migrator.app.first_checks import prepare_ends
from migrator.app.migrating import migrate
from migrator.app.options import Options
from migrator.app.reread_both_ends import why_not_equal
from migrator.app.stopping import Stopping
from migrator.app.store_factory import is_there, patience_of, reading
from migrator.config.locations import Locations
from migrator.config.time_filter import ANY_AGE
from migrator.core.entities import RawFile, RawId
from migrator.core.errors import LedgerBusy, MigratorError, StoreError, may_come_back
from migrator.core.notices import NoticeKind
from migrator.core.outcomes import Outcome
from migrator.core.protocols import Source
from migrator.reports.report import Report

OPEN_OUTCOMES = (Outcome.CONFLICT, Outcome.FAILED, Outcome.REFUSED, Outcome.PENDING)
"""Those of a raw file that a pass could not bring to the target, or that is another one there."""
_PASSES = 3
"""After so many passes that leave raw files open, they stay open."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtUp:
    """How it ended. `copied`: raw files. `lacking`: which ones are missing or different at the target, and why, as sentences.

    `unsure`: why not all of the source could be compared; "" where it was. `may_change`: another pass may find something else.
    """

    copied: int = 0
    lacking: tuple[str, ...] = ()
    unsure: str = ""
    may_change: bool = True

    @property
    def is_whole(self) -> bool:
        """Return whether the target has all that the source has."""
        return not self.lacking and not self.unsure


def catch_up(locations: Locations, options: Options, *, is_back: bool, seconds: float) -> CaughtUp:
    """Copy to the target what it lacks. Both ends are listed whole; a pass that does not come to its end is repeated for `seconds`.

    `is_back`: raw files that both ends have with the same size are not read again, and the ledger learns nothing of them. Never raises
    MigratorError: what went wrong is in the answer.
    """
    options = replace(
        options,
        ages=ANY_AGE,
        full=True,
        reread=False,
        allow_empty=is_back or options.allow_empty,
        compare_by_size=is_back,
        remembers=not is_back,
        limits=replace(options.limits, duration=None),
        checks_access=False,
    )
    until = time.monotonic() + seconds
    pause, copied, passes = _FIRST_PAUSE, 0, 0
    while True:
        found = _one_pass(locations, options)
        copied, passes = copied + found.copied, passes + 1
        is_over = found.is_whole or not found.may_change or (not found.unsure and passes >= _PASSES)
        if is_over or time.monotonic() + pause > until:
            return replace(found, copied=copied)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _one_pass(locations: Locations, options: Options) -> CaughtUp:
    """Look at both ends anew and copy. What an ended run had copied counts too."""
    ended_early: list[Report] = []
    if not is_there(locations.source):
        return CaughtUp(unsure=f"{locations.source} is not there.")
    try:
        prepared = _prepared(locations, options)
        report = migrate(prepared, options, lambda ahead: (), Stopping(), ended_early.append)
        copied = report.overall[Outcome.COPIED].files
        return CaughtUp(copied=copied, lacking=lacking_in(report, prepared.locations, options))
    except MigratorError as error:
        copied = sum(report.overall[Outcome.COPIED].files for report in ended_early)
        may_change = isinstance(error, LedgerBusy) or may_come_back(error)
        return CaughtUp(copied=copied, unsure=error.what, may_change=may_change)


def _prepared(locations: Locations, options: Options) -> Prepared:
    """What a pass needs to know, without the checks that would keep a migration from its start. Raises MigratorError."""
    patience = patience_of(options, Stopping().event)
    with reading(locations.source, patience) as source, reading(locations.target, patience) as target:
        return prepare_ends(locations, options, source, target, to_write=False)


def lacking_in(report: Report, locations: Locations, options: Options) -> tuple[str, ...]:
    """Return the raw files that are missing or different at the target, of those that this pass left open: a sentence for each.

    They are read at both ends. One that is gone from the source is none; a folder that cannot be read may hide some, and counts.
    """
    tally = report.overall
    left = sum(tally[outcome].files for outcome in OPEN_OUTCOMES)
    if not left and not tally.unreadable_folders:
        return ()
    kinds = {outcome.value for outcome in OPEN_OUTCOMES}
    listed = [one for one in report.totals.problems if one.kind in kinds and one.raw_id]
    patience = patience_of(options, Stopping().event)
    with reading(locations.source, patience) as source, reading(locations.target, patience) as target:
        reasons = [_why_lacking(RawFile(one.organization, RawId(one.raw_id)), source, target) for one in listed]
    found = [f"{one.where}: {reason}" for one, reason in zip(listed, reasons, strict=True) if reason]
    folders = [one for one in report.totals.problems if one.kind == NoticeKind.UNREADABLE_FOLDER.value]
    found += [f"{one.where}: {one.reason}" for one in folders]
    if len(listed) < left:
        found.append(f"{left - len(listed)} more raw files")
    return tuple(found)


def _why_lacking(raw_file: RawFile, source: Source, target: Source) -> str:
    try:
        if source.stat(raw_file) is None:
            return ""
    except StoreError as error:
        return error.what
    return why_not_equal(raw_file, source, target)
