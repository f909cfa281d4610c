"""Carries a planned switch out, step by step, and takes it back where one fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from migrator.app.catching_up import catch_up, lacking_in
from migrator.app.migrating import migrate
from migrator.app.options import Options, Stopping, Watch
from migrator.app.planning import prepare_to_migrate
from migrator.app.store_factory import patience_of, reading
from migrator.app.switch_new_files import NewPlace, gives_new_one
from migrator.app.switch_plan import Planned, refuse_what_doctor_refuses
from migrator.app.switch_proof import Baseline, Proven, baseline_of, prove, sampled
from migrator.app.switch_request import ends_of_plan, swapped
from migrator.app.watching import READING, Until, why_not_equal
from migrator.app.watching import watch as follow
from migrator.config.settings import DiskLocation, Locations, S3Location
from migrator.core.entities import RawFile
from migrator.core.errors import MigratorError, MustStop
from migrator.core.outcomes import Outcome
from migrator.reports.formatting import files, shown
from migrator.reports.text.switch import Switched
from migrator.reports.text.watch import Watched
from migrator.switch.guard import Guard
from migrator.switch.journal import Story, SwitchEnd, SwitchJournal
from migrator.switch.parts import parts_of
from migrator.switch.rollback import roll_back
from migrator.switch.settings_store import edited_meanwhile
from migrator.switch.steps import STEPS, SwitchStep
from migrator.sync.change_detector import Lag
from migrator.sync.messages import ProgressEvent

GUARD_MODULE = "migrator.app.switch_guard"
_STOPPED_PATIENCE_SECONDS = 10.0
"""While Bytes is stopped, a server that does not answer for so long ends the switch: Bytes goes back at once. Where listing both ends
takes longer, as long as that."""
_LONGEST_PATIENCE_SECONDS = 3600.0
"""The longest for which a pass is repeated while Bytes runs, however long the copying took."""
_COPY_PASSES = 3

Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class _Scene:
    """What the steps hand on to each other."""

    sample: list[RawFile] = field(default_factory=list)
    baseline: Baseline = field(default_factory=Baseline)
    newest: tuple[RawFile, ...] = ()
    proven: Proven | None = None
    late: int = 0
    unsure: str = ""
    gave_new: bool | None = None


class Switching:
    """One switch. The journal's lock is held while it is carried out."""

    def __init__(
        self,
        planned: Planned,
        journal: SwitchJournal,
        options: Options,
        *,
        request: Mapping[str, Any],
        sample: int,
        new_within: float,
        max_downtime: float,
        health_timeout: float,
        watch: Watch,
        say: Say,
        stopping: Stopping,
    ) -> None:
        """`request` is what the guard gets; `sample` raw files are read, and asked for.

        `new_within` is how long to wait for a raw file that Bytes saves after its start. Times in seconds.
        """
        self._planned, self._journal, self._options = planned, journal, options
        self._request, self._sample_size, self._max_downtime = request, sample, max_downtime
        self._health_timeout, self._new_within = health_timeout, new_within
        self._watch, self._say, self._stopping = watch, say, stopping
        self._scene = _Scene()
        looked_seconds = planned.proposal.looked_seconds
        self._stopped_patience = min(options.patience, max(_STOPPED_PATIENCE_SECONDS, looked_seconds))
        self._stopped_at: float | None = None
        self._guard: Guard | None = None

    def run(self) -> Switched:
        """Carry it out. Raises MigratorError where it did not end well: Bytes is as it was then, or the error denies it."""
        self._journal.begin(self._planned.plan)
        try:
            self._before_the_stop()
            self._with_bytes_stopped()
            self._journal.end(SwitchEnd.SWITCHED)
        except BaseException as error:
            self._take_back(error)
            raise
        finally:
            if self._guard is not None:
                self._guard.stop()
        self._planned.parts.store.tidy(self._planned.plan.run, keep_backup=True)
        return self._switched()

    # --- while Bytes runs ----------------------------------------------------------------------------------------------

    def _before_the_stop(self) -> None:
        planned, options = self._planned, self._options
        with self._step(SwitchStep.LOOK):
            refuse_what_doctor_refuses(planned.locations, options, probe=True)
        self._begin(SwitchStep.COPY)
        self._draw_sample()  # before the copying, so that it has nothing that Bytes saves after it
        self._copy()
        self._verify_sample(self._options)
        planned.parts.store.stage(planned.old, planned.new, planned.plan.run)
        self._guard = Guard(GUARD_MODULE, self._request)
        self._refuse_stopping()

    def _copy(self) -> None:
        """Copy everything. A raw file that Bytes was just writing fails a pass and not the next one."""
        outcome = "Bytes was not stopped"
        for left in reversed(range(_COPY_PASSES)):
            report = migrate(self._planned.prepared, self._options, self._watch, self._stopping)
            self._refuse_stopping()
            tally = report.overall
            if report.is_forbidden or tally.closed.files:
                self._refuse_lacking(
                    [f"Bytes cannot use what lies there, see `bytes-migrator report {report.run}`"], outcome
                )
            lacking = lacking_in(report, self._planned.locations, self._options)
            if not lacking:
                return
            if not left or tally[Outcome.CONFLICT].files or tally[Outcome.REFUSED].files:
                self._refuse_lacking(lacking, outcome)

    def _draw_sample(self) -> None:
        planned = self._planned
        with reading(planned.locations.source, patience_of(self._options, self._stopping.event)) as source:
            organizations = planned.prepared.look.organizations
            self._scene.sample = sampled(source, organizations, self._sample_size, seed=planned.plan.run)
        if planned.api is not None:
            self._scene.baseline = baseline_of(planned.api, self._scene.sample, planned.plan.source)

    # --- while Bytes is stopped ------------------------------------------------------------------------------------------

    def _with_bytes_stopped(self) -> None:
        planned, parts = self._planned, self._planned.parts
        watched = self._follow_and_stop()
        self._refuse_unless_complete(watched)
        self._scene.newest = watched.newest
        self._journal.end_step(SwitchStep.VERIFY)
        with self._step(SwitchStep.SETTINGS):
            parts.store.replace(planned.old, planned.new, planned.plan.run)
        with self._step(SwitchStep.START):
            parts.deployment.start()
        with self._step(SwitchStep.HEALTH):
            parts.wait_until_healthy(self._health_timeout)
        with self._step(SwitchStep.PROVE):
            self._prove()
            self._copy_late_ones()
            self._prove_new_one()

    def _follow_and_stop(self) -> Watched:
        """Follow Bytes until the target is up to date, stop Bytes, and do the last pass with everything open and warm."""
        options = replace(self._options, patience=self._stopped_patience)
        prepared = prepare_to_migrate(self._planned.locations, options, self._stopping)
        shows = _Follower(self._give_up_waiting, self._begin_to_verify)
        return follow(
            prepared, options, Until(stopped=True, lists_before=True), shows, self._stop_bytes, self._stopping
        )

    def _stop_bytes(self) -> bool:
        """Stop Bytes, called by the watch once the target is up to date: from here on Bytes is down.

        Raises:
            MustStop: If the guard is gone, Bytes does not stop, or its settings were edited meanwhile.
        """  # noqa: DOC501 made by edited_meanwhile
        parts = self._planned.parts
        if self._guard is None or not self._guard.is_alive():
            raise MustStop(
                "switch-guard-gone", "The guard ended before Bytes was stopped.", cure="Run the same command again."
            )
        if parts.store.read() != self._planned.old:
            raise edited_meanwhile(parts.store.where)
        self._journal.end_step(SwitchStep.COPY)
        self._stopped_at = time.monotonic()
        with self._step(SwitchStep.STOP):
            parts.deployment.stop()
            parts.wait_until_stopped()
        self._begin(SwitchStep.LAST_PASS)
        return True

    def _begin_to_verify(self) -> None:
        self._journal.end_step(SwitchStep.LAST_PASS)
        self._begin(SwitchStep.VERIFY)

    def _give_up_waiting(self, error: MigratorError | None) -> None:
        """Give up where Bytes is down, and waits for a server that is away, or for too long.

        Raises:
            MustStop: If so.
        """
        if self._stopped_at is None:
            return
        if error is not None:
            self._refuse_stopping()
            raise MustStop("switch-server-gone", error.what, why=error.why, cure=error.cure) from error
        if time.monotonic() - self._stopped_at > self._max_downtime:
            raise MustStop(
                "switch-downtime",
                f"Bytes was stopped for longer than {self._max_downtime:.0f} s, and the last pass was not over.",
                cure="Copy until a pass is short (`migrate`), then try again; or allow more by --max-downtime.",
            )

    def _verify_sample(self, options: Options) -> None:
        locations, patience = self._planned.locations, patience_of(options, self._stopping.event)
        with reading(locations.source, patience) as source, reading(locations.target, patience) as target:
            for raw_file in self._scene.sample:
                reason = why_not_equal(raw_file, source, target)
                if reason:
                    where = source.describe(raw_file)
                    raise MustStop(
                        "switch-unequal",
                        f"{where} is not the same at both ends: {reason}.",
                        cure="Run `bytes-migrator verify --level content`: it lists every raw file that differs.",
                    )
                self._refuse_stopping()

    def _prove(self) -> None:
        planned = self._planned
        if planned.api is None:
            return
        with reading(planned.locations.source, patience_of(self._options, self._stopping.event)) as source:
            self._scene.proven = prove(
                planned.api,
                self._scene.baseline,
                self._scene.newest,
                source=source,
                settings=planned.settings,
                to_s3=isinstance(planned.locations.target, S3Location),
            )

    def _prove_new_one(self) -> None:
        """Have Bytes give a raw file that it saved since its start, if one comes in time."""
        planned = self._planned
        if planned.api is None or not self._new_within:
            return
        story = self._journal.story() or Story(planned.plan)
        times = {one.step: one for one in story.steps}
        healthy_at = times[SwitchStep.HEALTH].ended or time.time()
        patience = patience_of(self._options, self._stopping.event)
        ends = planned.locations.source, planned.locations.target
        with reading(ends[0], patience) as source, reading(ends[1], patience) as target:
            place = NewPlace(
                source=source,
                target=target,
                organizations=planned.prepared.look.organizations,
                since=times[SwitchStep.START].began,
                on_disk=isinstance(ends[1], DiskLocation),
            )
            self._scene.gave_new = gives_new_one(
                planned.api,
                place,
                planned.settings,
                seconds=healthy_at + self._new_within - time.time(),
                stopping=self._stopping.event,
            )
        self._refuse_stopping()

    def _copy_late_ones(self) -> None:
        """Copy what something saved at the old place after the last pass had looked: no raw file may be left there.

        Bytes is healthy at the new place, so only a raw file that is missing or different there takes the switch back, or a place that
        does not answer any more. Where nobody can tell whether something came in late, the switch stands, and the end says so.
        """
        story = self._journal.story() or Story(self._planned.plan)
        patience = _patience_after(story, self._options)
        found = catch_up(self._planned.locations, self._options, is_back=False, seconds=patience)
        self._refuse_stopping()
        self._refuse_lacking(found.lacking, "Bytes is given its old settings again")
        if found.unsure:
            self._verify_sample(replace(self._options, patience=patience))
        self._scene.late, self._scene.unsure = found.copied, found.unsure

    # --- when it fails, and when it ends --------------------------------------------------------------------------------------

    def _take_back(self, error: BaseException) -> None:
        """Bring Bytes back. An error of that replaces the one that ended the switch: it is what the operator has to know first."""
        story = self._journal.story()
        if story is not None and story.began(SwitchStep.STOP):
            reason = error.what if isinstance(error, MigratorError) else type(error).__name__
            self._say(f"The switch failed, and is taken back: {shown(reason)}")
            self._journal.note(reason)
        roll_back(self._journal, self._say, self._bring_back)

    def _bring_back(self, story: Story) -> None:
        bring_back(self._planned.locations, self._options, story, self._say)

    def _refuse_lacking(self, lacking: Sequence[str], outcome: str) -> None:
        """Refuse to switch to a place that lacks a raw file; `outcome` is what becomes of Bytes.

        Raises:
            MustStop: If one is lacking.
        """
        if lacking:
            raise MustStop(
                "switch-not-whole",
                f"Not every raw file could be copied to {self._planned.plan.target}, so {outcome}: {_named(lacking)}",
                why="`bytes-migrator report` lists them with their reasons.",
                cure="See to what it lists, and run the same command again.",
            )

    def _refuse_unless_complete(self, watched: Watched) -> None:
        self._refuse_stopping()
        if watched.still_writes:
            raise MustStop(
                "switch-still-writes",
                "Raw files still came in after Bytes was stopped.",
                why="Another Bytes, or something else, saves to the same place.",
                cure="Find what writes there and stop it too, then run the same command again.",
            )
        if watched.exit_status != 0 or self._stopped_at is None:
            what = next((one.reason for one in watched.unproven), "the last pass did not account for every raw file")
            raise MustStop(
                "switch-not-whole-at-the-end",
                f"The last pass, with Bytes stopped, did not end well: {what}.",
                cure="See `bytes-migrator status` for the raw files and their reasons, and run the same command again.",
            )

    def _refuse_stopping(self) -> None:
        if self._stopping.event.is_set():
            raise MustStop(
                "switch-interrupted",
                f"The switch was interrupted ({self._stopping.signal}).",
                cure="Run the same command again: what is copied stays copied.",
            )

    def _switched(self) -> Switched:
        story = self._journal.story() or Story(self._planned.plan)
        parts = self._planned.parts
        return Switched(
            proposal=self._planned.proposal,
            story=story,
            sample=len(self._scene.sample),
            newest=len(self._scene.newest),
            late=self._scene.late,
            unsure=self._scene.unsure,
            gave_new=self._scene.gave_new,
            baseline_asked=self._scene.baseline.asked,
            proven_old=self._scene.proven.old if self._scene.proven else 0,
            proven_newest=self._scene.proven.newest if self._scene.proven else 0,
            unknown=self._scene.proven.unknown if self._scene.proven else 0,
            backup=parts.store.backup_name(story.plan.run),
        )

    def _begin(self, step: SwitchStep) -> None:
        self._journal.begin_step(step)
        self._say(f"{STEPS[step].title} …")

    @contextmanager
    def _step(self, step: SwitchStep) -> Iterator[None]:
        """A step: written down before it begins, and after it ended well."""
        self._begin(step)
        yield
        self._journal.end_step(step)
        if step not in (SwitchStep.START, SwitchStep.HEALTH, SwitchStep.PROVE):
            self._refuse_stopping()


class _Follower:
    """Watches the passes, and ends them where Bytes would be down for too long."""

    def __init__(
        self, give_up_waiting: Callable[[MigratorError | None], None], begin_to_verify: Callable[[], None]
    ) -> None:
        self._give_up_waiting, self._begin_to_verify = give_up_waiting, begin_to_verify

    def told(self, told: ProgressEvent) -> None:
        """The report has what matters."""

    def tick(self) -> None:
        self._give_up_waiting(None)

    def now(self, what: str, lag: Lag) -> None:
        self._give_up_waiting(None)
        if what == READING:
            self._begin_to_verify()

    def away(self, error: MigratorError) -> None:
        self._give_up_waiting(error)


def finish_unfinished(journal: SwitchJournal, options: Options, environ: Mapping[str, str], say: Say) -> Story | None:
    """Take back a switch that died; return what became of it, None where Bytes was never stopped. The journal's lock is held.

    Raises MustStop where Bytes could not be brought back.
    """
    story = journal.story()
    if story is None or not story.is_open:
        return None

    def bring(story: Story) -> None:
        store = parts_of(story.plan.deployment, story.plan.settings, story.plan.api).store
        try:
            locations = ends_of_plan(story.plan, store, environ)
        except MigratorError as error:
            raise _left_behind(story, error.what) from error
        bring_back(locations, options, story, say)

    if not story.began(SwitchStep.STOP):
        roll_back(journal, say, bring)
        return None
    journal.note(story.trouble or "the process that switched died")
    return roll_back(journal, say, bring)


def bring_back(locations: Locations, options: Options, story: Story, say: Say) -> None:
    """Copy to the old place what Bytes saved at the new one.

    Bytes runs meanwhile, with the old place. Raw files that the old place has stay as they are.

    Raises:
        MustStop: If a raw file is missing there, or nobody can tell.
    """  # noqa: DOC501 made by _left_behind
    found = catch_up(swapped(locations), options, is_back=True, seconds=_patience_after(story, options))
    if not found.is_whole:
        raise _left_behind(story, found.unsure or _named(found.lacking))
    say(f"What Bytes saved at the new place meanwhile is at the old one: {files(found.copied)}.")


def _patience_after(story: Story, options: Options) -> float:
    """Return for how many seconds a pass is repeated that does not come to its end: a large store has waited for the copying too."""
    copying = next((one.ended - one.began for one in story.steps if one.step is SwitchStep.COPY and one.ended), 0.0)
    return max(options.patience, min(copying, _LONGEST_PATIENCE_SECONDS))


def _named(lacking: Sequence[str]) -> str:
    """Name the first one, and how many more there are."""
    more = f" ({len(lacking) - 1} more)" if len(lacking) > 1 else ""
    return f"{lacking[0]}{more}"


def _left_behind(story: Story, why: str) -> MustStop:
    return MustStop(
        "switch-left-behind",
        f"Bytes is back at {story.plan.source}; what it saved meanwhile at {story.plan.target} could not be brought there: {why}",
        cure="Once both ends can be reached: bytes-migrator migrate --full, with --from and --to swapped.",
    )
