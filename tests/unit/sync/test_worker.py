"""A worker's promise: each unit that it took is told to have ended, exactly once, whatever happens."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.checks.manifest_writer import ManifestShards
from migrator.checks.prover import Level, Prover
from migrator.checks.verify_sink import Prove
from migrator.checks.verify_tracking import Proofs
from migrator.core.cancellation import StopFlag
from migrator.core.entities import RawFile, Shard
from migrator.core.errors import MigratorError, MustStop, Unavailable
from migrator.core.outcomes import Outcome, Step
from migrator.core.protocols import Sink, SinkAnswer
from migrator.core.tally import Tally
from migrator.sync.action_tables import BY_CONTENT, PROOF
from migrator.sync.channel import Acknowledgements, Line
from migrator.sync.messages import Assignment, Event, ProgressEvent, Survey, Unit, UnitEnded
from migrator.sync.shard.folder_tracking import FolderTracker
from migrator.sync.shard.pass_settings import Pass
from migrator.sync.worker import Worker
from tests.backends import raw_id
from tests.fakes import FailingStore, Schedule, quick_patience
from tests.memory_store import MemoryStore
from tests.passes import transfer_between

GONE = Unavailable("unreachable", "The server is gone.")
OVER = MustStop("over", "It is over.")
ODD = ValueError("odd")
FILES = 40


class Units:
    """Units that are there from the beginning."""

    def __init__(self, units: list[Unit]) -> None:
        self._left = deque(units)
        self.taken = 0

    def take(self, *, wait: bool) -> Unit | None:
        if not self._left:
            return None
        self.taken += 1
        return self._left.popleft()


class FailingSink:
    """A sink that fails by schedule: "submit" and "answers" count its calls; unlike a store it may fail in any way."""

    def __init__(self, sink: Sink, at: dict[tuple[str, int], Exception]) -> None:
        self._sink = sink
        self._at = at
        self._calls = {"submit": 0, "answers": 0}

    @property
    def has_room(self) -> bool:
        return self._sink.has_room

    def submit(self, ticket: object, organization: str, step: Step) -> None:
        self._meet("submit")
        self._sink.submit(ticket, organization, step)

    def answers(self, *, flush: bool) -> Iterator[SinkAnswer]:
        self._meet("answers")
        return self._sink.answers(flush=flush)

    def moved(self) -> Iterator[tuple[object, int]]:
        return self._sink.moved()

    def close(self) -> None:
        self._sink.close()

    def _meet(self, call: str) -> None:
        self._calls[call] += 1
        error = self._at.get((call, self._calls[call]))
        if error is not None:
            raise error


def made(count: int = FILES) -> MemoryStore:
    store = MemoryStore()
    for number in range(count):
        store.save(RawFile("org", raw_id(f"{number * 6 % 256:02x}{number:02x}")), b"content")
    return store


def units_of(length: int = 1) -> list[Unit]:
    shards = [Shard("org", f"{number:x}" if length else "") for number in range(16**length)]
    return [Survey("org"), *(Assignment(shard=shard, target_is_empty=False) for shard in shards)]


def work(
    units: Units,
    at: dict[tuple[str, int], Exception] | None = None,
    source_faults: dict[tuple[str, int], MigratorError] | None = None,
    flag: StopFlag | None = None,
) -> list[Event]:
    """One worker's life; what it told."""
    source, target, flag = FailingStore(made(), Schedule(source_faults or {})), MemoryStore(), flag or StopFlag()
    transfer = transfer_between(source, target, jobs=2, patience=quick_patience())
    whole = Pass(
        source=source,
        target=target,
        sink=FailingSink(transfer, at or {}),
        rules=BY_CONTENT,
        refused=frozenset(),
        settle_ns=0,
        stopping=flag,
        tracking=FolderTracker,
    )
    events: list[Event] = []
    Worker(whole, units, Line(events.append, 0, Acknowledgements(1), flag)).run()
    transfer.close()
    return events


def ends(events: list[Event]) -> list[UnitEnded]:
    return [event for event in events if isinstance(event, UnitEnded)]


def tally_of(events: list[Event]) -> Tally:
    total = Tally()
    for event in events:
        if isinstance(event, ProgressEvent):
            total.merge(event.tally)
    return total


def test_all_goes_well() -> None:
    units = Units(units_of())
    events = work(units)
    assert ends(events) == [UnitEnded()] * 17
    assert tally_of(events)[Outcome.COPIED].files == FILES


def test_no_units_at_all() -> None:
    assert work(Units([])) == []


SINK_FAULTS = [("submit", 1), ("submit", 17), ("submit", FILES), ("answers", 1), ("answers", 3)]


@pytest.mark.parametrize("when", SINK_FAULTS)
@pytest.mark.parametrize("error", [ODD, GONE, OVER])
def test_a_sink_that_breaks_ends_every_unit_once(when: tuple[str, int], error: Exception) -> None:
    units = Units(units_of())
    events = work(units, {when: error})
    assert units.taken == 17
    assert len(ends(events)) == 17
    assert any(ended.error is not None for ended in ends(events))
    assert tally_of(events).discovered.files <= FILES


@pytest.mark.parametrize("method", ["scan", "entry", "shard_length"])
@pytest.mark.parametrize("nth", [1, 5])
def test_a_source_that_breaks_ends_every_unit_once(method: str, nth: int) -> None:
    units = Units(units_of())
    events = work(units, source_faults={(method, nth): GONE})
    assert len(ends(events)) == units.taken == 17
    if nth == 1 or method in ("scan", "entry"):
        assert next(ended.error for ended in ends(events) if ended.error is not None) is GONE
    assert tally_of(events).discovered.files <= FILES


def test_the_unexpected_is_told_in_words() -> None:
    events = work(Units(units_of()), {("submit", 3): ODD})
    told = next(ended.error for ended in ends(events) if ended.error is not None)
    assert (type(told), told.name) == (MustStop, "unexpected")
    assert "ValueError: odd" in told.what
    assert told.__cause__ is ODD


@pytest.mark.parametrize("when", SINK_FAULTS)
def test_what_a_sink_ends_the_run_with_is_told_in_its_own_words(when: tuple[str, int]) -> None:
    events = work(Units(units_of()), {when: OVER})
    assert next(ended.error for ended in ends(events) if ended.error is not None) is OVER


@pytest.mark.parametrize("fault", [("open", 3), ("entry", 3)])
def test_what_ends_the_run_is_told_and_the_others_stop(fault: tuple[str, int]) -> None:
    """With a raw file's answer, or out of a listing; what comes after it is pending."""
    flag = StopFlag()
    events = work(Units(units_of(0)), source_faults={fault: OVER}, flag=flag)
    assert [ended.error for ended in ends(events) if ended.error is not None] == [OVER]
    assert flag.is_set()
    if fault[0] == "open":
        tally = tally_of(events)
        assert tally.discovered.files == FILES
        assert tally[Outcome.PENDING].files > 0


def test_what_was_counted_before_the_break_is_told() -> None:
    events = work(Units(units_of(0)), source_faults={("entry", 21): GONE})
    tally = tally_of(events)
    assert tally[Outcome.COPIED].files + tally[Outcome.PENDING].files == 20


def test_a_sheet_that_cannot_be_written_ends_its_unit_too(tmp_path: Path) -> None:
    """The last thing of a shard: the unit was off the worker's list by then, and nobody would have told that it ended."""
    source, target, flag = made(), made(), StopFlag()
    sink = Prove(Prover(source, target, Level.CONTENT), jobs=1, patience=quick_patience())
    whole = Pass(
        source=source,
        target=target,
        sink=sink,
        rules=PROOF,
        refused=frozenset(),
        settle_ns=0,
        stopping=flag,
        tracking=Proofs(key="key", rests_ns=0, sheets=ManifestShards(tmp_path / "gone")).track,
    )
    events: list[Event] = []
    Worker(whole, Units(units_of()), Line(events.append, 0, Acknowledgements(1), flag)).run()
    sink.close()
    assert len(ends(events)) == 17
    errors = {ended.error.name for ended in ends(events) if ended.error is not None}
    assert errors == {"manifest-unwritable"}
    tally = tally_of(events)
    assert tally[Outcome.PROVEN].files > 0, "what was counted is told"
    assert tally.discovered.files == FILES
    assert not any(event.proven for event in events if isinstance(event, ProgressEvent))


_ERRORS = st.sampled_from([ODD, GONE, OVER])
_SINK = st.dictionaries(st.tuples(st.sampled_from(["submit", "answers"]), st.integers(1, 30)), _ERRORS, max_size=3)
_SOURCE = st.dictionaries(
    st.tuples(
        st.sampled_from(["scan", "entry", "folders", "shard_length", "open", "read", "stat"]), st.integers(1, 40)
    ),
    st.sampled_from([GONE, OVER]),
    max_size=3,
)


@given(_SINK, _SOURCE, st.integers(0, 1))
def test_whatever_breaks_each_unit_ends_once_and_nothing_is_counted_twice(
    sink: dict[tuple[str, int], Exception], source: dict[tuple[str, int], MigratorError], length: int
) -> None:
    units = Units(units_of(length))
    events = work(units, sink, source)
    assert len(ends(events)) == units.taken == 1 + 16**length
    assert tally_of(events).discovered.files <= FILES
    if all(ended.error is None for ended in ends(events)):
        assert tally_of(events).discovered.files == FILES
