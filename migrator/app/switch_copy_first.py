"""Switches Bytes once everything is copied: copy while it runs, stop it, copy the rest, verify, and start it at the new place."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from migrator.app.first_checks import prepare_to_migrate
from migrator.app.switch_copying import (
    NOT_STOPPED,
    TAKEN_BACK,
    catch_up_whole,
    copy_all,
    refuse_lacking,
    refuse_unequal,
    refuse_unreadable,
)
from migrator.app.switch_plan import refuse_what_doctor_refuses
from migrator.app.switch_rollback import patience_after
from migrator.app.switch_run import SwitchRun
from migrator.app.watch_end import Until
from migrator.app.watching import READING
from migrator.app.watching import watch as follow
from migrator.core.errors import MigratorError, MustStop
from migrator.reports.text.watch import Watched
from migrator.switch.journal import Story
from migrator.switch.steps import SwitchStep
from migrator.sync.folder_change_detector import Lag
from migrator.sync.messages import ProgressEvent

_STOPPED_PATIENCE_SECONDS = 10.0
"""While Bytes is stopped, a server that does not answer for so long ends the switch: Bytes goes back at once. Where listing both ends
takes longer, as long as that."""

_READ_WHILE_STOPPED = 20
"""Of what was copied while Bytes is stopped, each compared with the server's checksum, so many are read at both ends before it is
started; the others once it runs."""


class Switching(SwitchRun):
    """A switch that never has Bytes point to a place that is not complete."""

    def _before_the_stop(self) -> None:
        planned, options, refuse_stopping = self._planned, self._options, self._log.refuse_stopping
        with self._log.step(SwitchStep.LOOK):
            refuse_what_doctor_refuses(planned.locations, options, probe=True)
        self._log.begin(SwitchStep.COPY)
        self._draw_sample()  # before the copying, so that it has nothing that Bytes saves after it
        copy_all(
            planned.prepared,
            options,
            self._watch,
            self._stopping,
            outcome=NOT_STOPPED,
            refuse_stopping=refuse_stopping,
        )
        refuse_unequal(self._scene.sample, planned.locations, options, self._stopping, refuse_stopping)
        planned.parts.store.stage(planned.old, planned.new, planned.plan.run)
        self._start_guard()
        refuse_stopping()

    def _with_bytes_stopped(self) -> None:
        watched = self._follow_and_stop()
        self._refuse_unless_complete(watched)
        self._scene.newest = watched.newest
        self._journal.end_step(SwitchStep.VERIFY)
        self._start_at_the_new_place()
        with self._log.step(SwitchStep.PROVE):
            self._prove()
            self._read_newest()
            self._copy_late_ones()
            self._prove_new_one()

    def _read_newest(self) -> None:
        """Read at both ends all that was copied while Bytes was stopped: a part of it was read then, so that Bytes is down for less.

        Where the old place is gone since then, what is at the new one was compared with checksums, and is read there.

        Raises:
            MustStop: If one is not the same.
        """
        locations, newest, refuse = self._planned.locations, self._scene.newest, self._log.refuse_stopping
        try:
            refuse_unequal(newest, locations, self._options, self._stopping, refuse)
        except MustStop:
            refuse()
            if self._source_answers():
                raise
            refuse_unreadable(newest, locations, self._options, self._stopping)

    def _follow_and_stop(self) -> Watched:
        """Follow Bytes until the target is up to date, stop Bytes, and do the last pass with everything open and warm."""
        at_least = max(_STOPPED_PATIENCE_SECONDS, self._planned.proposal.listing_seconds)
        options = replace(self._options, patience=min(self._options.patience, at_least))
        prepared = prepare_to_migrate(self._planned.locations, options, self._stopping)
        shows = _Follower(self._give_up_waiting, self._begin_to_verify)
        until = Until(stopped=True, lists_before=True, reads=_READ_WHILE_STOPPED)
        return follow(prepared, options, until, shows, self._stop_for_the_last_pass, self._stopping)

    def _stop_for_the_last_pass(self) -> bool:
        """Stop Bytes, called by the watch once the target is up to date. Raises MustStop."""
        self._refuse_to_stop()
        self._journal.end_step(SwitchStep.COPY)
        self._stop_bytes()
        self._log.begin(SwitchStep.LAST_PASS)
        return True

    def _begin_to_verify(self) -> None:
        self._journal.end_step(SwitchStep.LAST_PASS)
        self._log.begin(SwitchStep.VERIFY)

    def _give_up_waiting(self, error: MigratorError | None) -> None:
        """Give up where Bytes is down, and waits for a server that is away, or for too long.

        Raises:
            MustStop: If so.
        """
        if self._stopped_at is None:
            return
        if error is not None:
            self._log.refuse_stopping()
            raise MustStop("switch-server-gone", error.what, why=error.why, cure=error.cure) from error
        longest = self._limits.max_downtime
        if time.monotonic() - self._stopped_at > longest:
            raise MustStop(
                "switch-downtime",
                f"Bytes was stopped for longer than {longest:.0f} s, and the last pass was not over.",
                cure="Run `migrate` until a pass is short, then rerun; or allow more with --max-downtime.",
            )

    def _copy_late_ones(self) -> None:
        """Copy what something saved at the old place after the last pass had looked: no raw file may be left there.

        Bytes is healthy at the new place, so only a raw file that is missing or different there takes the switch back, or a new place
        that does not answer any more. Where nobody can tell whether something came in late, the switch stands, and the end says so.
        """
        planned, refuse_stopping = self._planned, self._log.refuse_stopping
        patience = patience_after(self._journal.story() or Story(planned.plan), self._options)
        self._log.say("Listing both ends once more …")
        found, self._scene.late = catch_up_whole(planned.locations, self._options, seconds=patience)
        refuse_stopping()
        refuse_lacking(found.lacking, planned.plan.target, TAKEN_BACK)
        if found.unsure:
            patient = replace(self._options, patience=patience)
            refuse_unreadable(self._scene.sample, planned.locations, patient, self._stopping)
        self._scene.unsure = found.unsure

    def _refuse_unless_complete(self, watched: Watched) -> None:
        self._log.refuse_stopping()
        if watched.still_writes:
            raise MustStop(
                "switch-still-writes",
                "Raw files still came in after Bytes was stopped.",
                why="Another Bytes, or something else, saves there.",
                cure="Find and stop what writes there, then rerun.",
            )
        if watched.exit_status != 0 or self._stopped_at is None:
            what = next((one.reason for one in watched.unproven), "the last pass did not account for every raw file")
            raise MustStop(
                "switch-not-whole-at-the-end",
                f"The last pass, with Bytes stopped, did not end well: {what}.",
                cure="See `bytes-migrator status` for the raw files and their reasons, then rerun.",
            )


class _Follower:
    """Watches the passes, and ends them where Bytes would be down for too long."""

    def __init__(
        self, give_up_waiting: Callable[[MigratorError | None], None], begin_to_verify: Callable[[], None]
    ) -> None:
        self._give_up_waiting, self._begin_to_verify = give_up_waiting, begin_to_verify

    def on_event(self, event: ProgressEvent) -> None:
        """The report has what matters."""

    def tick(self) -> None:
        self._give_up_waiting(None)

    def now(self, what: str, lag: Lag) -> None:
        self._give_up_waiting(None)
        if what == READING:
            self._begin_to_verify()

    def away(self, error: MigratorError) -> None:
        self._give_up_waiting(error)
