"""One run: units out, events in, the ledger before anybody else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import pytest

from migrator.core.cancellation import StopFlag
from migrator.core.entities import Provisional, Shard, UnfinishedUpload
from migrator.core.errors import MustStop, Unavailable
from migrator.core.notices import Problem
from migrator.core.outcomes import Outcome
from migrator.core.tally import Count, Tally
from migrator.sync.coordinator import Coordinator
from migrator.sync.messages import (
    Assignment,
    Event,
    ProgressEvent,
    Survey,
    Surveyed,
    Unit,
    UnitEnded,
    UploadBegan,
    UploadEnded,
)
from migrator.sync.totals import PROBLEMS_SHOWN, Totals
from tests.backends import raw_id
from tests.passes import Remembered, finished_folder

ENDED = UnitEnded()


def told(organization: str, files: int = 1, problems: int = 0) -> ProgressEvent:
    made = ProgressEvent(organization=organization)
    for _ in range(files):
        made.tally[Outcome.COPIED].add(10)
    made.problems += [Problem("failed", organization, "where", "why")] * problems
    return made


class Scripted:
    """An engine that answers each unit with events that the test has for it."""

    def __init__(self, answer: Callable[[Unit], list[Event]], capacity: int = 2) -> None:
        self.capacity = capacity
        self.units: list[Unit] = []
        self.most_under_way = 0
        self._under_way = 0
        self._answer = answer
        self._events: deque[Event | None] = deque()

    def submit(self, unit: Unit) -> None:
        self.units.append(unit)
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        self._events.extend([None, *self._answer(unit)])

    def next_event(self, timeout: float) -> Event | None:
        event = self._events.popleft() if self._events else None
        self._under_way -= isinstance(event, UnitEnded)
        return event

    def acknowledge(self, event: UploadBegan) -> None:
        raise AssertionError("there are no uploads here")


class Watching:
    def __init__(self, memory: Remembered) -> None:
        self.memory = memory
        self.seen: list[ProgressEvent] = []
        self.ticks = 0

    def on_event(self, event: ProgressEvent) -> None:
        assert event in self.memory.told, "written down before it is shown"
        self.seen.append(event)

    def tick(self) -> None:
        self.ticks += 1


def surveyed(length: int = 0, *, empty: bool = False) -> Callable[[Unit], list[Event]]:
    def answer(unit: Unit) -> list[Event]:
        if isinstance(unit, Survey):
            return [Surveyed(organization=unit.organization, length=length, target_is_empty=empty), ENDED]
        return [told(unit.shard.organization), ENDED]

    return answer


def run(
    engine: Scripted, organizations: list[str], memory: Remembered | None = None, stopping: StopFlag | None = None
) -> tuple[Totals, Watching]:
    totals, memory = Totals(), memory or Remembered()
    watching = Watching(memory)
    coordinator = Coordinator(
        engine=engine, memory=memory, observers=[watching], totals=totals, stopping=stopping or StopFlag()
    )
    coordinator.run(organizations)
    return totals, watching


@pytest.mark.parametrize(("length", "shards"), [(0, 1), (1, 16), (2, 256)])
def test_each_organization_is_surveyed_and_cut_into_shards(length: int, shards: int) -> None:
    engine = Scripted(surveyed(length))
    totals, watching = run(engine, ["a", "b"])
    assert [unit.organization for unit in engine.units if isinstance(unit, Survey)] == ["a", "b"]
    prefixes = [
        unit.shard.prefix for unit in engine.units if isinstance(unit, Assignment) and unit.shard.organization == "a"
    ]
    assert prefixes == sorted(prefixes)
    assert len(prefixes) == shards
    assert totals.organizations["a"][Outcome.COPIED].files == shards
    assert totals.overall()[Outcome.COPIED].as_dict() == {"files": 2 * shards, "bytes": 20 * shards}
    assert len(watching.seen) == 2 * shards
    assert watching.ticks >= 2 * shards


@pytest.mark.parametrize("capacity", [1, 2, 7])
def test_no_more_is_given_out_than_there_is_room_for(capacity: int) -> None:
    engine = Scripted(surveyed(1), capacity)
    run(engine, ["a", "b", "c"])
    assert engine.most_under_way <= capacity
    assert len(engine.units) == 3 + 3 * 16


def test_nothing_to_do_is_done_at_once() -> None:
    totals, watching = run(Scripted(surveyed()), [])
    assert totals.overall().discovered.files == 0
    assert watching.seen == []


def test_assignments_carry_what_is_remembered_of_their_shard() -> None:
    copy = Provisional("a", raw_id("abc0"), 1, 2, "mark")
    memory = Remembered({}, {("a", copy.raw_id): copy})
    engine = Scripted(surveyed(1, empty=True))
    run(engine, ["a"], memory)
    found = {unit.shard: unit for unit in engine.units if isinstance(unit, Assignment)}
    assert found[Shard("a", "a")].provisional == {copy.raw_id: copy}
    assert found[Shard("a", "b")].provisional == {}
    assert all(unit.target_is_empty and not unit.finished for unit in found.values())


@pytest.mark.parametrize(("length", "prefix"), [(0, ""), (1, "a"), (2, "ab")])
@pytest.mark.parametrize("lists_target", [True, False])
def test_assignments_carry_the_finished_folders_of_their_shard(length: int, prefix: str, lists_target: bool) -> None:
    folders = {("a", name): finished_folder("a", name) for name in ("0aa", "abc", "abd")}

    def answer(unit: Unit) -> list[Event]:
        if isinstance(unit, Survey):
            survey = Surveyed(organization="a", length=length, target_is_empty=False, lists_target=lists_target)
            return [survey, ENDED]
        return [told("a"), ENDED]

    engine = Scripted(answer)
    run(engine, ["a"], Remembered(dict(folders)))
    given = {unit.shard.prefix: unit for unit in engine.units if isinstance(unit, Assignment)}
    assert len(given) == 16**length
    assert all(unit.lists_target is lists_target for unit in given.values())
    assert sum(len(unit.finished) for unit in given.values()) == len(folders)
    assert given[prefix].finished["abc"] == folders["a", "abc"]


@pytest.mark.parametrize(("lists_target", "expected"), [(True, (0, 0)), (False, (2, 32))])
def test_totals_tell_of_how_many_parts_a_sample_was_looked_at(lists_target: bool, expected: tuple[int, int]) -> None:
    def answer(unit: Unit) -> list[Event]:
        if isinstance(unit, Survey):
            survey = Surveyed(organization=unit.organization, length=1, target_is_empty=False, sample_of=16)
            return [replace(survey, lists_target=lists_target), ENDED]
        return [told(unit.shard.organization), ENDED]

    totals, _ = run(Scripted(answer), ["a", "b"])
    assert (totals.samples, totals.sampled_of) == expected


@pytest.mark.parametrize("holds", [True, False])
def test_what_the_target_does_not_hold_any_more_is_forgotten(holds: bool) -> None:
    folder = finished_folder("a", "abc")
    memory = Remembered({("a", "abc"): folder, ("b", "abc"): folder})

    def answer(unit: Unit) -> list[Event]:
        if isinstance(unit, Survey):
            assert unit.finished == {"abc": folder}
            survey = Surveyed(organization=unit.organization, length=0, target_is_empty=False, ledger_holds=holds)
            return [survey, ENDED]
        return [told("a"), ENDED]

    engine = Scripted(answer)
    run(engine, ["a"], memory)
    [assignment] = [unit for unit in engine.units if isinstance(unit, Assignment)]
    assert assignment.finished == ({"abc": folder} if holds else {})
    assert memory.folders.keys() == ({("a", "abc"), ("b", "abc")} if holds else {("b", "abc")})


def test_an_error_ends_the_run_after_the_rest_was_taken_down() -> None:
    first, second = MustStop("one", "The first."), Unavailable("two", "The second.")

    def answer(unit: Unit) -> list[Event]:
        if isinstance(unit, Survey):
            return surveyed(1)(unit)
        error = {"0": first, "1": second}.get(unit.shard.prefix)
        return [told("a"), UnitEnded(error)]

    engine, memory, stopping = Scripted(answer, capacity=4), Remembered(), StopFlag()
    with pytest.raises(MustStop) as caught:
        run(engine, ["a"], memory, stopping)
    assert caught.value is first
    assert stopping.is_set(), "the others have to hear of it"
    assert len(engine.units) <= 1 + 4 + 1
    assert len(memory.told) == len(engine.units) - 1


def test_an_upload_is_acknowledged_once_it_is_written_down() -> None:
    happened: list[str] = []

    class Writing(Remembered):
        def record_upload(self, event: UploadBegan | UploadEnded) -> None:
            happened.append(f"written {type(event).__name__}")

    class Acknowledging(Scripted):
        def acknowledge(self, event: UploadBegan) -> None:
            happened.append("acknowledged")

    upload = UnfinishedUpload("a", raw_id("0001"), "bucket", "key", "id", 8, "stamp", 0.0)
    run(Acknowledging(lambda unit: [UploadBegan(upload, 0, 1), UploadEnded(upload), ENDED]), ["a"], Writing())
    assert happened == ["written UploadBegan", "acknowledged", "written UploadEnded"]


def test_a_ledger_that_breaks_stops_the_workers() -> None:
    class Broken(Remembered):
        def record(self, told: ProgressEvent) -> None:
            raise MustStop("ledger-full", "Full.")

    stopping = StopFlag()
    with pytest.raises(MustStop, match="Full"):
        run(Scripted(surveyed(1)), ["a"], Broken(), stopping)
    assert stopping.is_set()


def test_stopping_gives_out_no_more_and_waits_for_what_is_under_way() -> None:
    stopping = StopFlag()

    def answer(unit: Unit) -> list[Event]:
        if isinstance(unit, Assignment) and unit.shard.prefix == "3":
            stopping.set()
        return surveyed(1)(unit)

    engine = Scripted(answer, capacity=2)
    totals, _ = run(engine, ["a", "b"], stopping=stopping)
    assert totals.overall()[Outcome.COPIED].files == sum(isinstance(unit, Assignment) for unit in engine.units)
    assert len(engine.units) < 10


def test_only_the_first_problems_are_kept_and_all_are_counted() -> None:
    def answer(unit: Unit) -> list[Event]:
        if isinstance(unit, Survey):
            return surveyed(1)(unit)
        return [told("a", problems=300), ENDED]

    totals, _ = run(Scripted(answer), ["a"])
    assert totals.problems_total == 16 * 300
    assert len(totals.problems) == PROBLEMS_SHOWN


def test_overall_is_the_sum_and_what_lies_beside() -> None:
    totals = Totals(beside=Count(3, 30))
    totals.add(told("a", 2))
    totals.add(told("b", 1))
    totals.add(told("a", 1))
    overall = totals.overall()
    assert overall[Outcome.COPIED].as_dict() == {"files": 4, "bytes": 40}
    assert overall.stray.as_dict() == {"files": 3, "bytes": 30}
    assert totals.organizations["a"].discovered.files == 3
    assert totals.overall().stray.files == 3, "asking twice changes nothing"
    assert isinstance(totals.organizations["b"], Tally)
