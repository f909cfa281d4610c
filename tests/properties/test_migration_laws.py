"""Laws of migrating: there and back is the identity, twice is once, and any interruption is as if there had been none."""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from migrator.core.cancellation import StopFlag
from migrator.core.entities import RawFile
from migrator.core.errors import (
    AccessDenied,
    AlreadyThere,
    MigratorError,
    NotTheSame,
    SourceChanged,
    StoreError,
    StoreFull,
    Unavailable,
    Unreadable,
    Vanished,
)
from migrator.core.outcomes import Outcome
from migrator.sync.totals import Totals
from tests import oracle, strategies
from tests.backends import Backend, DiskBackend, MemoryBackend, State, state_of
from tests.fakes import Clock, FailingStore, Schedule
from tests.memory_store import MemoryStore
from tests.passes import Remembered, counts, run_pass

Contents = dict[RawFile, bytes]

ERRORS: list[MigratorError] = [
    Unavailable("unavailable", "It is gone."),
    Vanished("vanished", "It is not there."),
    NotTheSame("not-the-same", "It differs."),
    SourceChanged("source-changed", "It changed."),
    Unreadable("unreadable", "It may not be read."),
    AlreadyThere("already-there", "It is taken."),
    AccessDenied("access-denied", "No right."),
    StoreFull("target-full", "It is full."),
    StoreError("server-refused", "No."),
]
SOURCE_METHODS = ["folders", "scan", "entry", "shard_length", "open", "read", "finish", "stat"]
TARGET_METHODS = [
    "is_empty",
    "scan",
    "entry",
    "stat",
    "prepare",
    "adopt",
    "store",
    "publish",
    "published",
    "open",
    "read",
]
LENGTHS = st.sampled_from([0, 1])
OUTCOMES = [outcome for outcome in Outcome if outcome is not Outcome.MISSING]


def on_disk_like(contents: Contents, clock: Clock | None = None, length: int = 0) -> MemoryStore:
    """A store with index folders and no digests, filled a while ago."""
    made = MemoryStore(clock_ns=(clock or Clock()).ns, index_folders=True, etags=False, shard_length=length)
    for raw_file, data in contents.items():
        made.save(raw_file, data)
    return made


def as_objects(contents: Contents) -> MemoryStore:
    made = MemoryStore(clock_ns=Clock().ns)
    for raw_file, data in contents.items():
        made.save(raw_file, data)
    return made


def assert_adds_up(totals: Totals, files: int, size: int) -> None:
    """Every raw file of the source has exactly one outcome, in files and in bytes, in each organization and overall."""
    overall = totals.overall()
    assert overall.discovered.as_dict() == {"files": files, "bytes": size}
    rows = totals.organizations.values()
    for outcome in OUTCOMES:
        assert overall[outcome].files == sum(row[outcome].files for row in rows)
        assert overall[outcome].bytes == sum(row[outcome].bytes for row in rows)
    assert overall[Outcome.MISSING].as_dict() == {"files": 0, "bytes": 0}
    assert overall.present_unseen.files <= overall[Outcome.PRESENT].files
    bad = {outcome.value for outcome in OUTCOMES} - {"copied", "present"}
    told = [problem for problem in totals.problems if problem.kind in bad - {"pending"}]
    assert len(told) == sum(overall[outcome].files for outcome in OUTCOMES if outcome.value in bad - {"pending"})


def size_of(contents: Contents) -> int:
    return sum(map(len, contents.values()))


# --- there and back --------------------------------------------------------------------------------------------------


@given(strategies.contents(), LENGTHS)
def test_there_and_back_is_the_identity(contents: Contents, length: int) -> None:
    disk, bucket, back = on_disk_like(contents, length=length), MemoryStore(), MemoryStore()
    there = run_pass(disk, bucket)
    assert counts(there) == ({"copied": len(contents)} if contents else {})
    assert_adds_up(there, len(contents), size_of(contents))
    run_pass(bucket, back)
    assert disk.contents() == bucket.contents() == back.contents() == contents


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def filled(backend: Backend, contents: Contents) -> Backend:
    for raw_file, data in contents.items():
        backend.save(raw_file, data)
    return backend


@settings(max_examples=strategies.examples(25))
@given(strategies.contents())
def test_there_and_back_on_disk_is_the_identity_in_modes_too(contents: Contents) -> None:
    with folder() as home:
        (home / "source").mkdir()
        source, bucket, back = DiskBackend(home / "source"), MemoryBackend(), DiskBackend(home / "back")
        filled(source, contents)
        with oracle.nothing_written(home / "source"):
            run_pass(source.source(), bucket.target())
            run_pass(bucket.source(), back.target())
        oracle.assert_same(oracle.disk_state(source.root), oracle.disk_state(back.root))
        assert back.leftovers() == []
        assert bucket.state() == state_of(contents)
        source.close()
        back.close()


# --- twice -----------------------------------------------------------------------------------------------------------


@given(strategies.contents(), st.booleans(), LENGTHS)
def test_a_second_migration_copies_nothing(contents: Contents, with_memory: bool, length: int) -> None:
    clock, memory = Clock(), Remembered()
    disk, bucket = on_disk_like(contents, clock, length), MemoryStore()
    clock.advance(100)
    run_pass(disk, bucket, memory=memory, clock=clock, settle=30)
    watched = FailingStore(bucket, Schedule())
    again = run_pass(disk, watched, memory=memory if with_memory else Remembered(), clock=clock, settle=30)
    assert counts(again) == ({"present": len(contents)} if contents else {})
    assert_adds_up(again, len(contents), size_of(contents))
    assert not watched.schedule.calls.keys() & {"store", "adopt", "replace", "published"}
    assert again.overall().present_unseen.files == (len(contents) if with_memory and length else 0)
    assert bucket.contents() == contents


@settings(max_examples=strategies.examples(25))
@given(strategies.contents())
def test_a_second_migration_on_disk_writes_nothing(contents: Contents) -> None:
    with folder() as home:
        target = DiskBackend(home / "target")
        store = target.target()
        run_pass(as_objects(contents), store)
        with oracle.nothing_written(target.root):
            again = run_pass(as_objects(contents), store)
        assert counts(again) == ({"present": len(contents)} if contents else {})
        target.close()


# --- what was there --------------------------------------------------------------------------------------------------


@given(strategies.contents(), strategies.contents(), st.data())
def test_what_was_at_the_target_is_never_touched(ours: Contents, theirs: Contents, data: st.DataObject) -> None:
    """Extra, conflicts, strays: whatever was there is there afterwards, as it was."""
    shared = data.draw(st.lists(st.sampled_from(sorted(ours)), unique=True)) if ours else []
    theirs = {**theirs, **{one: data.draw(st.sampled_from([ours[one], b"x", b"another's"])) for one in shared}}
    disk, bucket = on_disk_like(ours), as_objects(theirs)
    names = data.draw(st.lists(strategies.hostile_names(), max_size=3, unique=True))
    for name in names:
        disk.add_stray("a", name, 1)
        bucket.add_stray("a", name, 1)
    marks = {one: bucket.stat(one) for one in theirs}
    totals = run_pass(disk, bucket)
    after = bucket.contents()
    assert {one: bucket.stat(one) for one in theirs} == marks
    assert after == {**ours, **theirs}
    overall = totals.overall()
    assert_adds_up(totals, len(ours), size_of(ours))
    assert overall[Outcome.CONFLICT].files == sum(theirs[one] != ours[one] for one in ours.keys() & theirs.keys())
    assert overall[Outcome.PRESENT].files == sum(theirs[one] == ours[one] for one in ours.keys() & theirs.keys())
    owners = {one.organization for one in ours} | ({"a"} if names else set())
    assert overall.extra.files == sum(one not in ours and one.organization in owners for one in theirs)
    assert overall.stray.files == 2 * len(names)
    assert disk.contents() == ours


@settings(max_examples=strategies.examples(25))
@given(strategies.contents(), strategies.contents())
def test_what_was_on_a_target_disk_is_never_touched(ours: Contents, theirs: Contents) -> None:
    with folder() as home:
        target = DiskBackend(home / "target")
        (home / "target").mkdir()
        filled(target, theirs)
        before = oracle.tree_snapshot(target.root)
        run_pass(as_objects(ours), target.target())
        after = oracle.tree_snapshot(target.root)
        files = {path: seen for path, seen in before.items() if path != bytes(target.root) and seen[1] != 4096}
        assert {path: after[path] for path in files if Path(path.decode()).is_file()} == {
            path: seen for path, seen in files.items() if Path(path.decode()).is_file()
        }
        assert target.state() == state_of({**ours, **theirs})
        target.close()


# --- interruptions ---------------------------------------------------------------------------------------------------


def undisturbed(ours: Contents, theirs: Contents) -> Contents:
    return {**ours, **theirs}


def finish_after(
    disk: MemoryStore, bucket: MemoryStore, memory: Remembered, clock: Clock, ours: Contents, theirs: Contents
) -> None:
    """A run after an interrupted one leaves what a single, undisturbed one would have left."""
    totals = run_pass(disk, bucket, memory=memory, clock=clock, settle=30)
    assert bucket.contents() == undisturbed(ours, theirs)
    assert_adds_up(totals, len(ours), size_of(ours))
    different = sum(theirs[one] != ours[one] for one in ours.keys() & theirs.keys())
    assert totals.overall()[Outcome.CONFLICT].files == different
    assert counts(totals).keys() <= {"copied", "present", "conflict", "extra"}


SITUATION = {
    "ours": strategies.contents(),
    "theirs": st.one_of(st.just({}), strategies.contents()),
    "length": LENGTHS,
    "jobs": st.sampled_from([1, 3]),
}


def opening(ours: Contents, length: int) -> tuple[MemoryStore, Clock]:
    clock = Clock()
    disk = on_disk_like(ours, clock, length)
    clock.advance(100)
    return disk, clock


@given(**SITUATION, at=st.integers(1, 40))
def test_stopping_at_any_moment(ours: Contents, theirs: Contents, length: int, jobs: int, at: int) -> None:
    (disk, clock), bucket, memory, stopping = opening(ours, length), as_objects(theirs), Remembered(), StopFlag()
    calls = 0

    def count(method: str) -> None:
        nonlocal calls
        calls += 1
        if calls >= at:
            stopping.set()

    schedule = Schedule(every_call=count)
    totals = run_pass(
        FailingStore(disk, schedule),
        FailingStore(bucket, schedule),
        memory=memory,
        clock=clock,
        settle=30,
        stopping=stopping,
        jobs=jobs,
    )
    overall = totals.overall()
    event(f"pending: {bool(overall[Outcome.PENDING].files)}")
    assert overall.discovered.files <= len(ours)
    assert overall[Outcome.COPIED].files == len(bucket.contents()) - len(theirs)
    assert bucket.contents().items() <= undisturbed(ours, theirs).items()
    finish_after(disk, bucket, memory, clock, ours, theirs)


@pytest.mark.row(1, 12)
@given(
    **SITUATION,
    at_source=st.booleans(),
    method=st.data(),
    number=st.integers(1, 6),
    times=st.sampled_from([1, 2, 100]),
    error=st.sampled_from(ERRORS),
)
def test_an_error_at_any_call(
    ours: Contents,
    theirs: Contents,
    length: int,
    jobs: int,
    at_source: bool,
    method: st.DataObject,
    number: int,
    times: int,
    error: MigratorError,
) -> None:
    (disk, clock), bucket, memory = opening(ours, length), as_objects(theirs), Remembered()
    name = method.draw(st.sampled_from(SOURCE_METHODS if at_source else TARGET_METHODS))
    schedule = Schedule({(name, one): error for one in range(number, number + times)})
    source = FailingStore(disk, schedule if at_source else Schedule())
    target = FailingStore(bucket, Schedule() if at_source else schedule)
    totals = Totals()
    try:
        run_pass(source, target, memory=memory, clock=clock, settle=30, jobs=jobs, totals=totals)
    except MigratorError as ended:
        event(f"ended by {ended.name}")
        assert totals.overall().discovered.files <= len(ours)
    else:
        assert_adds_up(totals, len(ours), size_of(ours))
    assert totals.overall()[Outcome.COPIED].files <= len(bucket.contents()) - len(theirs.keys() - ours.keys())
    assert bucket.contents().items() <= undisturbed(ours, theirs).items()
    assert disk.contents() == ours
    finish_after(disk, bucket, memory, clock, ours, theirs)


@pytest.mark.row(1, 2)
@given(**SITUATION, data=st.data())
def test_a_process_that_dies_at_any_moment(
    ours: Contents, theirs: Contents, length: int, jobs: int, data: st.DataObject
) -> None:
    """Its state is dropped: what is at the target, and what was recorded, is all that the next run has."""
    (disk, clock), bucket, memory = opening(ours, length), as_objects(theirs), Remembered()
    moments: list[tuple[Contents, Remembered]] = []

    def take_down(method: str) -> None:
        moments.append((bucket.contents(), memory.copy()))

    memory.when_told = lambda: take_down("record")
    run_pass(
        FailingStore(disk, Schedule(every_call=take_down)),
        FailingStore(bucket, Schedule(every_call=take_down)),
        memory=memory,
        clock=clock,
        settle=30,
        jobs=jobs,
    )
    assume(moments)
    at_target, recorded = data.draw(st.sampled_from(moments))
    finish_after(disk, as_objects(at_target), recorded, clock, ours, theirs)


@pytest.mark.row(1, 2)
@settings(max_examples=strategies.examples(25))
@given(strategies.contents(), st.integers(1, 30))
def test_a_process_that_dies_while_it_writes_to_a_disk(contents: Contents, at: int) -> None:
    """Temporary files are left, which the next run removes, and no raw file is ever torn."""
    with folder() as home:
        died = DiskBackend(home / "target")
        target = died.target()
        seen: list[State] = []

        def break_off(method: str) -> None:
            if schedule.calls.total() >= at:
                raise KeyError("the process ends here")

        schedule = Schedule(every_call=break_off)
        with contextlib.suppress(MigratorError):
            run_pass(as_objects(contents), FailingStore(target, schedule))
        seen.append(copy.deepcopy(died.state()))
        assert seen[0].items() <= state_of(contents).items()
        died.close()
        again = DiskBackend(home / "target")
        run_pass(as_objects(contents), again.target("other"))
        assert again.state() == state_of(contents)
        owners = {one.organization for one in contents}
        assert owners == {path.name for path in (home / "target").iterdir()}
        assert again.leftovers() == []
        again.close()


@pytest.mark.row(18, 19, 72)
@given(strategies.contents(), st.data())
def test_a_source_that_changes_while_it_is_migrated(contents: Contents, data: st.DataObject) -> None:
    """Whatever is copied is one of the states that the raw file was in; the next run has the last one."""
    assume(contents)
    clock, memory = Clock(), Remembered()
    disk, bucket = on_disk_like(contents, clock), MemoryStore(clock_ns=clock.ns)
    changed: Contents = {}
    chosen = data.draw(st.lists(st.tuples(st.sampled_from(sorted(contents)), st.integers(1, 15)), max_size=4))
    method = data.draw(st.sampled_from(["entry", "open", "read", "finish"]))

    def change(raw_file: RawFile) -> None:
        changed[raw_file] = contents[raw_file] + b"!" * (len(changed) + 1)
        clock.advance(0.001)
        disk.save(raw_file, changed[raw_file])

    at = {(method, number): (lambda one=one: change(one)) for one, number in chosen}
    totals = run_pass(FailingStore(disk, Schedule(at)), bucket, memory=memory, clock=clock, settle=30)
    assert counts(totals) == {"copied": len(contents)}
    for raw_file, copied in bucket.contents().items():
        assert copied.rstrip(b"!") == contents[raw_file].rstrip(b"!")
    clock.advance(100)
    run_pass(disk, bucket, memory=memory, clock=clock, settle=30)
    assert bucket.contents() == disk.contents() == {**contents, **changed}
