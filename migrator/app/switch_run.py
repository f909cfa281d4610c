"""What both orders of a switch have in common: steps with their journal, stopping and starting Bytes, the proof, and taking it back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from migrator.app.options import Options, Watch
from migrator.app.stopping import Stopping
from migrator.app.store_factory import patience_of, reading
from migrator.app.switch_api_proof import Baseline, Proven, baseline_of, is_plain, prove, sampled
from migrator.app.switch_copying import answers
from migrator.app.switch_lock import settings_held
from migrator.app.switch_plan import Planned
from migrator.app.switch_rollback import Say, bring_back
from migrator.app.switch_save_proof import NewPlace, gives_new_one
from migrator.app.switch_settings import refuse_old_settings
from migrator.config.locations import DiskLocation, S3Location
from migrator.core.entities import RawFile
from migrator.core.errors import MigratorError, MustStop
from migrator.reports.formatting import shown
from migrator.reports.switch_report import Switched
from migrator.switch.guard import Guard
from migrator.switch.journal import Story, SwitchEnd, SwitchJournal
from migrator.switch.rollback import roll_back
from migrator.switch.settings_store import edited_meanwhile
from migrator.switch.steps import StepText, SwitchStep

Waits = Callable[[str, float], AbstractContextManager[None]]
"""Shows, while a block waits, for what it does and for how many seconds at most; "" where the step's title says that."""
GUARD_MODULE = "migrator.app.switch_rollback_process"
_UNDONE_AT_ONCE = (SwitchStep.START, SwitchStep.HEALTH, SwitchStep.PROVE)
"""Steps after which a wish to stop is not looked at: the next ones tell whether Bytes works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchLimits:
    """How far a switch goes. `sample`: so many raw files are read, and asked for. Times in seconds.

    `new_within`: how long to wait for a raw file that Bytes saves after its start. `max_downtime` and `health`: what is too long.
    """

    sample: int
    new_within: float
    max_downtime: float
    health: float


@dataclass(slots=True, kw_only=True)
class Scene:
    """What the steps hand on to each other, and the end tells."""

    sample: list[RawFile] = field(default_factory=list)
    baseline: Baseline = field(default_factory=Baseline)
    newest: tuple[RawFile, ...] = ()
    proven: Proven | None = None
    late: int = 0
    unsure: str = ""
    gave_new: bool | None = None


class StepLog:
    """Says each step, and writes it down before it begins and after it ended well."""

    def __init__(
        self, journal: SwitchJournal, texts: Mapping[SwitchStep, StepText], say: Say, stopping: Stopping
    ) -> None:
        self.journal, self.say, self.stopping = journal, say, stopping
        self._texts = texts

    def begin(self, step: SwitchStep) -> None:
        """Begin a step that another method ends."""
        self.journal.begin_step(step)
        self.say(f"{self._texts[step].title} …")

    @contextmanager
    def step(self, step: SwitchStep) -> Iterator[None]:
        """A step that ends with the block."""
        self.begin(step)
        yield
        self.journal.end_step(step)
        if step not in _UNDONE_AT_ONCE:
            self.refuse_stopping()

    def refuse_stopping(self) -> None:
        """Raise MustStop where the switch was asked to stop.

        Raises:
            MustStop: If so.
        """
        if self.stopping.event.is_set():
            raise MustStop(
                "switch-interrupted",
                f"The switch was interrupted ({self.stopping.signal}).",
                cure="Rerun: what is copied stays copied.",
            )


class SwitchRun:
    """One switch. The journal's lock is held while it is carried out; subclasses have the steps in their order."""

    def __init__(
        self,
        planned: Planned,
        journal: SwitchJournal,
        options: Options,
        *,
        request: Mapping[str, Any],
        limits: SwitchLimits,
        watch: Watch,
        say: Say,
        waits: Waits,
        stopping: Stopping,
    ) -> None:
        """`request` is what the guard gets."""
        self._planned, self._journal, self._options = planned, journal, options
        self._request, self._limits, self._watch = request, limits, watch
        self._waits, self._stopping = waits, stopping
        self._log = StepLog(journal, Story(planned.plan).texts, say, stopping)
        self._scene = Scene()
        self._stopped_at: float | None = None
        self._guard: Guard | None = None
        self._stack = ExitStack()

    def run(self) -> Switched:
        """Carry it out. Raises MigratorError where it did not end well: Bytes is as it was then, or the error denies it."""
        with self._stack:
            self._stack.enter_context(settings_held(self._planned.parts.store, self._planned.plan.ends))
            self._journal.begin(self._planned.plan)
            try:
                self._before_the_stop()
                self._with_bytes_stopped()
                self._end()
            except BaseException as error:
                self._take_back(error)
                raise
            finally:
                if self._guard is not None:
                    self._guard.stop()
        self._planned.parts.store.tidy(self._planned.plan.run, keep_backup=True)
        return self._switched()

    def _before_the_stop(self) -> None:
        """Do all that can be done while Bytes runs at the old place. Raises MigratorError."""
        raise NotImplementedError

    def _with_bytes_stopped(self) -> None:
        """Stop Bytes, change its settings, start it, and prove that it works. Raises MigratorError."""
        raise NotImplementedError

    def _end(self) -> None:
        self._journal.end(SwitchEnd.SWITCHED)

    # --- steps -----------------------------------------------------------------------------------------------------------

    def _start_guard(self) -> None:
        self._guard = Guard(GUARD_MODULE, self._request)

    def _draw_sample(self) -> None:
        planned = self._planned
        with reading(planned.locations.source, patience_of(self._options, self._stopping.event)) as source:
            organizations = planned.prepared.overview.organizations
            self._scene.sample = sampled(source, organizations, self._limits.sample, seed=planned.plan.run)
        if planned.api is not None:
            self._scene.baseline = baseline_of(planned.api, self._scene.sample, planned.plan.source)

    def _refuse_to_stop(self) -> None:
        """Look once more before Bytes is stopped.

        Raises:
            MustStop: If the guard is gone, or Bytes' settings were edited meanwhile.
        """  # noqa: DOC501 made by edited_meanwhile
        parts = self._planned.parts
        if self._guard is None or not self._guard.is_alive():
            raise MustStop(
                "switch-guard-gone", "The guard ended before Bytes was stopped.", cure="Rerun the same command."
            )
        if parts.store.read() != self._planned.old:
            raise edited_meanwhile(parts.store.where)

    def _stop_bytes(self) -> None:
        """Stop Bytes: from here on it is down. Raises MustStop where it does not stop."""
        parts = self._planned.parts
        self._stopped_at = time.monotonic()
        with self._log.step(SwitchStep.STOP):
            parts.deployment.stop()
            parts.wait_until_stopped()

    def _start_at_the_new_place(self) -> None:
        planned, parts = self._planned, self._planned.parts
        with self._log.step(SwitchStep.SETTINGS):
            parts.refuse_started()
            parts.store.replace(planned.old, planned.new, planned.plan.run)
        with self._log.step(SwitchStep.START):
            parts.deployment.start()
        with self._log.step(SwitchStep.HEALTH), self._waits("", self._limits.health):
            parts.wait_until_healthy(self._limits.health)

    def _prove(self) -> None:
        planned, store = self._planned, self._planned.parts.store
        refuse_old_settings(store, store.settings(planned.new), planned.parts.deployment)
        if planned.api is None:
            return
        compares = is_plain(planned.settings) and self._source_answers()
        with reading(planned.locations.source, patience_of(self._options, self._stopping.event)) as source:
            self._scene.proven = prove(
                planned.api,
                self._scene.baseline,
                self._scene.newest,
                source=source,
                compares=compares,
                to_s3=isinstance(planned.locations.target, S3Location),
            )

    def _source_answers(self) -> bool:
        """Whether the old place answers. Bytes works at the new one by then: an old place that is gone takes nothing back."""
        return answers(self._planned.locations.source, self._options, self._stopping)

    def _prove_new_one(self) -> None:
        """Have Bytes give a raw file that it saved since its start, if one comes in time."""
        planned = self._planned
        if planned.api is None or not self._limits.new_within:
            return
        story = self._journal.story() or Story(planned.plan)
        times = {one.step: one for one in story.steps}
        healthy_at = times[SwitchStep.HEALTH].ended or time.time()
        patience = patience_of(self._options, self._stopping.event)
        ends = planned.locations.source, planned.locations.target
        seconds = healthy_at + self._limits.new_within - time.time()
        waits = self._waits("Waiting until Bytes saves a raw file, to read that too", max(1.0, seconds))
        with waits, reading(ends[0], patience) as source, reading(ends[1], patience) as target:
            place = NewPlace(
                source=source,
                target=target,
                organizations=planned.prepared.overview.organizations,
                since=times[SwitchStep.START].began,
                on_disk=isinstance(ends[1], DiskLocation),
            )
            self._scene.gave_new = gives_new_one(
                planned.api,
                place,
                planned.settings,
                seconds=seconds,
                stopping=self._stopping.event,
            )
        self._log.refuse_stopping()

    # --- when it fails, and when it ends ---------------------------------------------------------------------------------

    def _take_back(self, error: BaseException) -> None:
        """Bring Bytes back. An error of that replaces the one that ended the switch: it is what the operator has to know first."""
        story = self._journal.story()
        if story is not None and story.is_half_way:
            reason = error.what if isinstance(error, MigratorError) else type(error).__name__
            self._log.say(f"The switch failed, and is taken back: {shown(reason)}")
            self._journal.note(reason)
        roll_back(self._journal, self._log.say, self._bring_back)

    def _bring_back(self, story: Story) -> None:
        bring_back(self._planned.locations, self._options, story, self._log.say)

    def _switched(self) -> Switched:
        scene, proven = self._scene, self._scene.proven or Proven()
        story = self._journal.story() or Story(self._planned.plan)
        return Switched(
            proposal=self._planned.proposal,
            story=story,
            sample=len(scene.sample),
            newest=len(scene.newest),
            late=scene.late,
            unsure=scene.unsure,
            gave_new=scene.gave_new,
            baseline_size=scene.baseline.size,
            proven_old=proven.old,
            proven_newest=proven.newest,
            unknown=proven.unknown,
            backup=self._planned.parts.store.backup_name(story.plan.run),
        )
