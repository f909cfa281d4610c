"""Any history of interruptions, errors and changes ends, after one undisturbed run, where a single run would have ended.

The model is what the source holds now and what lay at the target before; the real code migrates between stores that fail, stop and lose
their process at any call. `MIGRATOR_STATEFUL=nightly` makes it 500 steps long.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from migrator.core.cancellation import StopFlag
from migrator.core.entities import RawFile
from migrator.core.errors import MigratorError
from migrator.core.outcomes import Outcome
from migrator.sync.totals import Totals
from tests import strategies
from tests.fakes import Clock, FailingStore, Schedule
from tests.memory_store import MemoryStore
from tests.passes import Remembered, run_pass
from tests.properties.test_migration_laws import (
    ERRORS,
    SOURCE_METHODS,
    TARGET_METHODS,
    Contents,
    assert_adds_up,
    size_of,
)

RAW_FILES = st.builds(RawFile, st.sampled_from(["a", "a-b", "a0"]), strategies.raw_ids())
SETTLE = 30
"""Seconds after which a raw file counts as complete."""


class Died(BaseException):
    """The process is gone: nothing catches it, nothing is cleaned up."""


class Migrations(RuleBasedStateMachine):
    """One source, one target, and everything that can come between."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.memory = Remembered()
        self.theirs: Contents = {}

    @initialize(
        ours=strategies.contents(),
        theirs=st.one_of(st.just({}), strategies.contents()),
        is_disk=st.booleans(),
        to_disk=st.booleans(),
        length=st.sampled_from([0, 1]),
    )
    def begin(self, ours: Contents, theirs: Contents, is_disk: bool, to_disk: bool, length: int) -> None:
        """Any direction: a disk has index folders and no digests, buckets have digests and no folders."""
        self.is_disk = is_disk
        self.source = self._store(is_disk, length)
        self.target = self._store(to_disk, length)
        for raw_file, data in ours.items():
            self.source.save(raw_file, data)
        for raw_file, data in theirs.items():
            self.target.save(raw_file, data)
        self.theirs = dict(theirs)
        self.marks = {one: self.target.stat(one) for one in theirs}
        self.clock.advance(SETTLE + 1)

    def _store(self, is_disk: bool, length: int) -> MemoryStore:
        return MemoryStore(
            clock_ns=self.clock.ns, index_folders=is_disk, etags=not is_disk, shard_length=length if is_disk else 0
        )

    # --- what happens to a run

    @rule(at=st.integers(1, 60), jobs=st.sampled_from([1, 3]))
    def stopped(self, at: int, jobs: int) -> None:
        """By a signal: what is under way ends."""
        stopping = StopFlag()
        schedule = Schedule(every_call=_after(at, stopping.set))
        totals = self._run(schedule, schedule, stopping=stopping, jobs=jobs)
        assert totals.overall().discovered.files <= len(self.source.contents())

    @rule(at=st.integers(1, 80))
    def killed(self, at: int) -> None:
        """At any request, write or ledger row: only what is at the target and was recorded is left."""

        def die() -> None:
            raise Died

        schedule = Schedule(every_call=_after(at, die))
        self.memory.when_told = lambda: schedule.every_call("record")
        with suppress(Died):
            self._run(schedule, schedule)
        self.memory.when_told = lambda: None

    @rule(
        at_source=st.booleans(),
        names=st.data(),
        number=st.integers(1, 8),
        times=st.sampled_from([1, 2, 100]),
        error=st.sampled_from(ERRORS),
    )
    def failing(self, at_source: bool, names: st.DataObject, number: int, times: int, error: MigratorError) -> None:
        """One kind of call fails, once or again and again."""
        name = names.draw(st.sampled_from(SOURCE_METHODS if at_source else TARGET_METHODS))
        schedule = Schedule({(name, one): error for one in range(number, number + times)})
        with suppress(MigratorError):
            self._run(schedule if at_source else Schedule(), Schedule() if at_source else schedule)

    # --- what happens between runs

    @rule(raw_file=RAW_FILES, data=st.binary(max_size=20))
    def saved(self, raw_file: RawFile, data: bytes) -> None:
        """Bytes saves a raw file under a new id, as it always does."""
        if raw_file not in self.source.contents() and raw_file not in self.target.contents():
            self.source.save(raw_file, data)

    @precondition(lambda self: self.is_disk and self.source.contents())
    @rule(choice=st.data())
    def written_on(self, choice: st.DataObject) -> None:
        """A raw file that is still being written gets longer.

        Not one of which a killed run left a copy that nobody wrote down: that is told as a conflict (ADR 7).
        """
        young = sorted(one for one in self.source.contents() if self._is_young(one) and not self._is_unrecorded(one))
        if young:
            raw_file = choice.draw(st.sampled_from(young))
            self.clock.advance(0.001)
            self.source.save(raw_file, self.source.contents()[raw_file] + b"!")

    def _is_young(self, raw_file: RawFile) -> bool:
        entry = self.source.stat(raw_file)
        return entry is not None and self.clock.ns() - entry.changed_ns < SETTLE * 1_000_000_000

    def _is_unrecorded(self, raw_file: RawFile) -> bool:
        is_ours = raw_file in self.target.contents() and raw_file not in self.theirs
        return is_ours and (raw_file.organization, raw_file.raw_id) not in self.memory.copies

    @precondition(lambda self: self.source.contents())
    @rule(choice=st.data())
    def deleted(self, choice: st.DataObject) -> None:
        """From the source; what was copied stays at the target."""
        self.source.delete(choice.draw(st.sampled_from(sorted(self.source.contents()))))

    @rule(raw_file=RAW_FILES, data=st.binary(max_size=20))
    def put_by_another(self, raw_file: RawFile, data: bytes) -> None:
        """Somebody else writes to the target, under a name that nobody has."""
        if raw_file not in self.target.contents() and raw_file not in self.source.contents():
            self.target.save(raw_file, data)
            self.theirs[raw_file] = data
            self.marks[raw_file] = self.target.stat(raw_file)

    @rule(seconds=st.sampled_from([0.5, 10, 100, 100_000]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def ledger_lost(self) -> None:
        """It costs time, never correctness; unless something young was copied, whose replacing rests on it."""
        if not self.memory.copies:
            self.memory = Remembered()

    # --- the law

    @rule()
    def undisturbed(self) -> None:
        """Everything of the source is at the target, whatever came before; its totals add up."""
        self.clock.advance(SETTLE + 1)
        ours = self.source.contents()
        totals = self._run(Schedule(), Schedule())
        assert_adds_up(totals, len(ours), size_of(ours))
        found = self.target.contents()
        for raw_file, data in ours.items():
            assert found[raw_file] == self.theirs.get(raw_file, data)
        conflicts = sum(self.theirs[one] != ours[one] for one in ours.keys() & self.theirs.keys())
        assert totals.overall()[Outcome.CONFLICT].files == conflicts
        for outcome in (Outcome.FAILED, Outcome.REFUSED, Outcome.VANISHED, Outcome.PENDING):
            assert totals.overall()[outcome].files == 0

    def teardown(self) -> None:
        if hasattr(self, "source"):
            self.undisturbed()

    @invariant()
    def nothing_of_theirs_was_touched(self) -> None:
        if hasattr(self, "target"):
            assert {one: self.target.stat(one) for one in self.theirs} == self.marks

    def _run(
        self, at_source: Schedule, at_target: Schedule, *, stopping: StopFlag | None = None, jobs: int = 1
    ) -> Totals:
        totals = Totals()
        before = self.source.contents()
        try:
            return run_pass(
                FailingStore(self.source, at_source),
                FailingStore(self.target, at_target),
                memory=self.memory,
                clock=self.clock,
                settle=SETTLE,
                stopping=stopping,
                jobs=jobs,
                totals=totals,
            )
        finally:
            assert self.source.contents() == before


def _after(at: int, act: Callable[[], None]) -> Callable[[str], None]:
    calls = 0

    def count(method: str) -> None:
        nonlocal calls
        calls += 1
        if calls >= at:
            act()

    return count


IS_NIGHTLY = os.environ.get("MIGRATOR_STATEFUL") == "nightly"
TestMigrations = Migrations.TestCase
TestMigrations.settings = settings(
    max_examples=strategies.examples(60 if IS_NIGHTLY else 15),
    stateful_step_count=500 if IS_NIGHTLY else 50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
