"""One shard's way from two scans to outcomes: tables, finished folders, young files, stopping."""

from __future__ import annotations

from operator import itemgetter

import pytest

from migrator.checks.prover import Level, Prover
from migrator.checks.verify_sink import Prove
from migrator.checks.verify_tracking import Proofs
from migrator.config.time_filter import Ages
from migrator.core.cancellation import StopFlag
from migrator.core.entities import Provisional, RawFile, RawId, Shard
from migrator.core.errors import MustStop, Unavailable
from migrator.core.notices import Notice, NoticeKind
from migrator.core.outcomes import Outcome, Step
from migrator.sync.action_tables import BY_CONTENT, BY_SIZE, PROOF, Rules
from migrator.sync.dry_run import Rehearse
from migrator.sync.shard.event_draft import SEND_AFTER_RESULTS
from migrator.sync.totals import Totals
from tests.backends import raw_id
from tests.fakes import Clock, FailingStore, Schedule, TellingStore, quick_patience
from tests.memory_store import MemoryStore
from tests.passes import Remembered, counts, finished_folder, run_pass

A, B, C, D = (raw_id(digits) for digits in ("0000", "0001", "abc0", "fff0"))


def of(store: MemoryStore, organization: str = "org") -> dict[RawId, bytes]:
    return {one.raw_id: data for one, data in store.contents().items() if one.organization == organization}


def store_with(*raw_ids: RawId, clock: Clock | None = None, shard_length: int = 0) -> MemoryStore:
    """A store as on disk; each raw file holds its own name."""
    made = MemoryStore(clock_ns=(clock or Clock()).ns, index_folders=True, etags=False, shard_length=shard_length)
    for one in raw_ids:
        made.save(RawFile("org", one), one.encode())
    return made


# --- verdict → outcome -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "source", "target", "expected"),
    [
        (BY_CONTENT, b"abc", None, {"copied": 1}),
        (BY_CONTENT, b"abc", b"abc", {"present": 1}),
        (BY_CONTENT, b"abc", b"xyz", {"conflict": 1}),
        (BY_CONTENT, b"abc", b"abcd", {"conflict": 1}),
        (BY_CONTENT, None, b"abc", {"extra": 1}),
        (BY_CONTENT, b"", b"", {"present": 1}),
        (BY_SIZE, b"abc", None, {"copied": 1}),
        (BY_SIZE, b"abc", b"xyz", {"present": 1}),
        (BY_SIZE, b"abc", b"abcd", {"conflict": 1}),
        (BY_SIZE, None, b"abc", {"extra": 1}),
    ],
)
@pytest.mark.parametrize("etags", [(False, False), (False, True), (True, False), (True, True)])
def test_outcomes(
    rules: Rules, source: bytes | None, target: bytes | None, expected: dict[str, int], etags: tuple[bool, bool]
) -> None:
    here, there = MemoryStore(etags=etags[0]), MemoryStore(etags=etags[1])
    here.prepare("org")
    for store, data in ((here, source), (there, target)):
        if data is not None:
            store.save(RawFile("org", A), data)
    before = there.contents()
    assert counts(run_pass(here, there, rules=rules)) == expected
    if target is None:
        assert there.contents() == here.contents()
    else:
        assert there.contents() == before, "what was there is never touched"


@pytest.mark.parametrize(
    ("source", "target", "readable", "expected"),
    [
        (b"abc", None, True, {"missing": 1}),
        (b"abc", None, False, {"failed": 1}),
        (b"abc", b"xyz", True, {"present": 1}),
        (b"abc", b"xyz", False, {"present": 1}),
        (b"abc", b"abcd", True, {"conflict": 1}),
        (None, b"abc", True, {"extra": 1}),
    ],
)
def test_outcomes_of_a_rehearsal_which_writes_nothing(
    source: bytes | None, target: bytes | None, readable: bool, expected: dict[str, int]
) -> None:
    here, there = MemoryStore(), MemoryStore()
    here.prepare("org")
    for store, data in ((here, source), (there, target)):
        if data is not None:
            store.save(RawFile("org", A), data)
    if not readable:
        here.unreadable.add(RawFile("org", A))
    watched = FailingStore(there, Schedule())
    before = there.contents()
    assert counts(run_pass(here, watched, sink=Rehearse(here), rules=BY_SIZE)) == expected
    assert there.contents() == before
    assert not watched.schedule.calls.keys() & {"prepare", "store", "replace", "adopt", "publish", "open"}
    at_once = Rehearse(here).result
    assert counts(run_pass(here, watched, sink=NoSink(), rehearse=at_once, rules=BY_SIZE)) == expected


class NoSink(Rehearse):
    """For a dry run that decides each step where it is met."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())

    def submit(self, ticket: object, organization: str, step: Step) -> None:
        raise AssertionError("the way to the sink and back costs as much as the listing")


def test_a_long_dry_run_tells_on_its_way_how_far_it_is() -> None:
    here = MemoryStore()
    for number in range(2 * SEND_AFTER_RESULTS + 1):
        here.save(RawFile("org", raw_id(f"{number:04}")), b"")
    memory = Remembered()
    totals = run_pass(here, MemoryStore(), sink=NoSink(), rehearse=Rehearse(here).result, rules=BY_SIZE, memory=memory)
    assert counts(totals) == {"missing": 2 * SEND_AFTER_RESULTS + 1}
    told = [event.tally[Outcome.MISSING].files for event in memory.told if event.tally[Outcome.MISSING].files]
    assert told == [SEND_AFTER_RESULTS, SEND_AFTER_RESULTS, 1]


def test_an_organization_without_a_name_is_refused_and_the_others_move() -> None:
    here, there = store_with(A, B), MemoryStore()
    here.save(RawFile("other", C), b"x")
    watched = FailingStore(there, Schedule())
    totals = run_pass(here, watched, refused=frozenset({"org"}))
    assert counts(totals) == {"refused": 2, "copied": 1}
    assert there.contents() == {RawFile("other", C): b"x"}
    assert totals.organizations["org"][Outcome.REFUSED].bytes == 72
    assert {problem.kind for problem in totals.problems} == {"refused"}
    assert watched.schedule.calls["is_empty"] == 1, "the place of a refused organization cannot even be asked for"


def test_problems_say_where_and_why() -> None:
    here, there = store_with(A, B), store_with(B)
    there.save(RawFile("org", A), b"something else")
    [problem] = run_pass(here, there).problems
    assert problem.kind == "conflict"
    assert problem.where == f"memory:org/{A}"
    assert problem.reason
    assert (problem.organization, problem.raw_id, problem.size) == ("org", A, 36)


def test_strays_of_both_ends_are_counted_and_left() -> None:
    here, there = store_with(A), store_with(B)
    here.add_stray("org", "README", 3)
    there.add_stray("org", "fff.bak", 4)
    totals = run_pass(here, there)
    assert counts(totals) == {"copied": 1, "extra": 1, "stray": 2}
    assert totals.overall().stray.bytes == 7
    assert sorted(problem.where for problem in totals.problems) == ["memory:org/README", "memory:org/fff.bak"]
    assert of(there) == {A: A.encode(), B: B.encode()}


@pytest.mark.parametrize("names", ["README", "abc"])
@pytest.mark.parametrize("end", ["source", "target"])
def test_strays_are_told_while_they_are_met_however_many_they_are(names: str, end: str) -> None:
    """Beside the index folders and in one; where nothing else is to be told, they would gather in memory."""
    here, there, memory = store_with(A), store_with(A), Remembered()
    for number in range(3 * SEND_AFTER_RESULTS):
        (here if end == "source" else there).add_stray("org", f"{names}-{number}", 1)
    totals = run_pass(here, there, memory=memory)
    assert totals.overall().stray.files == totals.problems_total == 3 * SEND_AFTER_RESULTS
    assert max(len(told.problems) for told in memory.told) <= SEND_AFTER_RESULTS


def test_a_shard_that_was_proven_and_changed_is_counted_once_whatever_lies_in_it() -> None:
    here, there, memory = store_with(A, B), store_with(A, B), Remembered()
    for number in range(2 * SEND_AFTER_RESULTS):
        there.add_stray("org", f"abc-{number}", 1)

    def verify() -> Totals:
        prove = Prove(Prover(here, there, Level.CONTENT), jobs=1, patience=quick_patience())
        proofs = Proofs(key="key", rests_ns=0)
        return run_pass(here, there, memory=memory, sink=prove, rules=PROOF, proofs=proofs)

    assert counts(verify()) == {"proven": 2, "stray": 2 * SEND_AFTER_RESULTS}
    assert memory.shards
    here.save(RawFile("org", C), b"new")
    found = verify()
    assert counts(found) == {"proven": 2, "missing": 1, "stray": 2 * SEND_AFTER_RESULTS}
    assert found.problems_total == 2 * SEND_AFTER_RESULTS + 1


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_the_length_of_shards_changes_nothing(length: int) -> None:
    here = MemoryStore(index_folders=True, etags=False, shard_length=length)
    there = MemoryStore()
    for number, one in enumerate((A, B, C, D)):
        here.save(RawFile("org", one), b"x" * number)
    there.save(RawFile("org", B), b"y")
    there.save(RawFile("org", raw_id("7777")), b"extra")
    for name in ("README", "0-0", "f00.bak", "abc"):
        here.add_stray("org", name, 1)
    totals = run_pass(here, there, jobs=4)
    assert counts(totals) == {"copied": 3, "conflict": 1, "extra": 1, "stray": 4}


# --- finished folders ------------------------------------------------------------------------------------------------


def test_a_finished_folder_is_not_looked_into_again() -> None:
    clock, memory = Clock(), Remembered()
    here, there = store_with(A, B, C, clock=clock, shard_length=1), MemoryStore()
    clock.advance(100)
    assert counts(run_pass(here, there, memory=memory, clock=clock, settle=30)) == {"copied": 3}
    assert sorted(name for _, name in memory.folders) == ["000", "abc"]
    assert memory.folders["org", "000"].files == 2
    watched = FailingStore(here, Schedule())
    again = run_pass(watched, there, memory=memory, clock=clock, settle=30)
    assert counts(again) == {"present": 3}
    assert again.overall().present_unseen.as_dict() == {"files": 3, "bytes": 108}
    assert watched.schedule.calls["open"] == 0


def test_a_folder_that_changed_is_looked_into_and_only_that() -> None:
    clock, memory = Clock(), Remembered()
    here, there = store_with(A, B, C, clock=clock, shard_length=1), MemoryStore()
    clock.advance(100)
    run_pass(here, there, memory=memory, clock=clock, settle=30)
    here.save(RawFile("org", raw_id("0002")), b"new")
    clock.advance(100)
    watched = FailingStore(here, Schedule())
    totals = run_pass(watched, there, memory=memory, clock=clock, settle=30)
    assert counts(totals) == {"copied": 1, "present": 3}
    assert totals.overall().present_unseen.files == 1
    assert watched.schedule.calls["open"] == 1, "no raw file is read that did not change"
    assert memory.folders["org", "000"].files == 3


@pytest.mark.parametrize("open_folders", [1, 20])
def test_extra_in_open_folders_is_found_however_the_target_is_listed(open_folders: int) -> None:
    """A few folders are listed one by one, many are picked from the whole listing. The sample is taken elsewhere."""
    clock, memory = Clock(), Remembered()
    ids = [raw_id(f"{number:03x}0") for number in range(30)]
    here, there = store_with(*ids, clock=clock, shard_length=1), MemoryStore()
    clock.advance(100)
    run_pass(here, there, memory=memory, clock=clock, settle=30)
    for number in range(open_folders):
        here.save(RawFile("org", raw_id(f"{number:03x}1")), b"new")
        there.save(RawFile("org", raw_id(f"{number:03x}2")), b"extra")
    clock.advance(100)
    totals = run_pass(here, there, memory=memory, clock=clock, settle=30)
    assert counts(totals) == {"copied": open_folders, "present": 30, "extra": open_folders}
    assert totals.overall().present_unseen.files == 30 - open_folders


def test_a_target_that_is_gone_is_not_believed_to_be_full() -> None:
    """The ledger remembers, but the bucket is gone."""
    clock, memory = Clock(), Remembered()
    here = store_with(A, B, C, clock=clock)
    clock.advance(100)
    run_pass(here, MemoryStore(), memory=memory, clock=clock, settle=30)
    emptied = MemoryStore()
    assert counts(run_pass(here, emptied, memory=memory, clock=clock, settle=30)) == {"copied": 3}
    assert of(emptied) == of(here)


def test_a_target_that_lost_what_was_finished_is_not_believed_either() -> None:
    """It is not empty, but it does not have what the ledger says: all of it is compared anew."""
    clock, memory = Clock(), Remembered()
    here, there = store_with(A, B, C, clock=clock, shard_length=1), MemoryStore()
    clock.advance(100)
    run_pass(here, there, memory=memory, clock=clock, settle=30)
    there.delete(RawFile("org", B))
    totals = run_pass(here, there, memory=memory, clock=clock, settle=30, pick=itemgetter(0))
    assert counts(totals) == {"copied": 1, "present": 2}
    assert totals.overall().present_unseen.files == 0
    assert of(there) == of(here)
    again = run_pass(here, there, memory=memory, clock=clock, settle=30)
    assert again.overall().present_unseen.files == 3


@pytest.mark.parametrize("reason", ["conflict", "failed", "stopped", "unreadable"])
def test_a_folder_is_finished_only_if_it_is_surely_whole(reason: str) -> None:
    clock, memory, stopping = Clock(), Remembered(), StopFlag()
    here, there = store_with(A, B, clock=clock), MemoryStore()
    store: MemoryStore | FailingStore = here
    clock.advance(100)
    if reason == "conflict":
        there.save(RawFile("org", A), b"something else")
    elif reason == "failed":
        here.unreadable.add(RawFile("org", A))
    elif reason == "stopped":
        store = FailingStore(here, Schedule({("entry", 2): stopping.set}))
    elif reason == "unreadable":
        store = TellingStore(here, Notice(NoticeKind.UNREADABLE_FOLDER, "memory:org/111", "no right", "org"))
    totals = run_pass(store, there, memory=memory, clock=clock, settle=30, stopping=stopping)
    assert totals.overall().discovered.files == 2
    assert memory.folders == {}


def test_a_scan_that_breaks_off_finishes_no_folder() -> None:
    clock, memory = Clock(), Remembered()
    here, there = store_with(A, B, C, D, clock=clock), MemoryStore()
    there.save(RawFile("org", C), C.encode())
    clock.advance(100)
    broken = FailingStore(here, Schedule({("entry", 2): MustStop("unreachable", "It is gone.")}))
    with pytest.raises(MustStop, match="It is gone"):
        run_pass(broken, there, memory=memory, clock=clock, settle=30)
    assert memory.folders == {}
    assert counts(run_pass(here, there, memory=memory, clock=clock, settle=30))["present"] >= 1
    assert of(there) == of(here)


def test_a_shard_that_breaks_off_finishes_no_folder_while_others_end() -> None:
    """Several shards are in flight; the error of one belongs to it until it ends."""
    clock, memory = Clock(), Remembered()
    here = MemoryStore(clock_ns=clock.ns, index_folders=True, etags=False, shard_length=1)
    there = MemoryStore()
    ids = [raw_id(f"{first:x}{second:02x}0") for first in range(16) for second in range(16)]
    for one in ids:
        here.save(RawFile("org", one), b"x")
    there.save(RawFile("org", D), b"not empty")
    clock.advance(100)
    broken = FailingStore(here, Schedule({("entry", 8): Unavailable("unreachable", "It is gone.")}))
    with pytest.raises(Unavailable):
        run_pass(broken, there, memory=memory, clock=clock, settle=30)
    done = {one.raw_id for one in there.contents()}
    for _, prefix in memory.folders:
        assert {one for one in ids if one.startswith(prefix)} <= done, f"{prefix} is not finished"


def test_a_folder_of_forged_digests_is_not_believed() -> None:
    clock, memory = Clock(), Remembered()
    here, there = store_with(A, B, clock=clock), MemoryStore()
    there.prepare("org")
    there.add_stray("org", "README")
    clock.advance(100)
    memory.folders["org", "000"] = finished_folder("org", "000", 2)._replace(newest_ns=clock.ns())
    assert counts(run_pass(here, there, memory=memory, clock=clock))["copied"] == 2


# --- young files -----------------------------------------------------------------------------------------------------


def test_a_young_copy_is_provisional_and_replaced_when_it_has_grown() -> None:
    clock, memory = Clock(), Remembered()
    here, there = store_with(clock=clock), MemoryStore(clock_ns=clock.ns)
    raw_file = RawFile("org", A)
    here.save(raw_file, b"half")
    assert counts(run_pass(here, there, memory=memory, clock=clock, settle=30)) == {"copied": 1}
    [copy] = memory.copies.values()
    entry = there.stat(raw_file)
    assert entry is not None
    assert copy == Provisional("org", A, 4, clock.ns(), entry.version)
    clock.advance(1)
    here.save(raw_file, b"half and the rest")
    assert counts(run_pass(here, there, memory=memory, clock=clock, settle=30)) == {"copied": 1}
    assert of(there) == {A: b"half and the rest"}
    clock.advance(100)
    assert counts(run_pass(here, there, memory=memory, clock=clock, settle=30)) == {"present": 1}
    assert memory.copies == {}, "settled"
    assert list(memory.folders) == [("org", "000")]


def test_a_copy_that_is_met_again_while_it_is_young_is_still_ours() -> None:
    """Settled too soon, what Bytes writes into it next would be a conflict."""
    clock, memory = Clock(), Remembered()
    here, there = store_with(clock=clock), MemoryStore(clock_ns=clock.ns)
    here.save(RawFile("org", A), b"half")
    run_pass(here, there, memory=memory, clock=clock, settle=30)
    clock.advance(1)
    assert counts(run_pass(here, there, memory=memory, clock=clock, settle=30)) == {"present": 1}
    assert list(memory.copies) == [("org", A)]
    here.save(RawFile("org", A), b"half and the rest")
    assert counts(run_pass(here, there, memory=memory, clock=clock, settle=30)) == {"copied": 1}
    assert of(there) == {A: b"half and the rest"}


def test_equal_size_other_content_is_a_conflict_although_the_copy_is_ours() -> None:
    """Bytes only ever adds to a file that it is writing: after anything else, somebody has to say which content is right."""
    clock, memory = Clock(), Remembered()
    here, there = store_with(clock=clock), MemoryStore(clock_ns=clock.ns)
    here.save(RawFile("org", A), b"aaaa")
    run_pass(here, there, memory=memory, clock=clock, settle=30)
    here.save(RawFile("org", A), b"bbbb")
    assert counts(run_pass(here, there, memory=memory, clock=clock, settle=30)) == {"conflict": 1}
    assert of(there) == {A: b"aaaa"}


@pytest.mark.parametrize("data", [b"anothers, longer", b"same"])
def test_what_somebody_else_put_over_our_young_copy_is_a_conflict(data: bytes) -> None:
    clock, memory = Clock(), Remembered()
    here, there = store_with(clock=clock), MemoryStore(clock_ns=clock.ns)
    raw_file = RawFile("org", A)
    here.save(raw_file, b"half")
    run_pass(here, there, memory=memory, clock=clock, settle=30)
    clock.advance(1)
    there.save(raw_file, data)
    here.save(raw_file, b"full")
    assert counts(run_pass(here, there, memory=memory, clock=clock, settle=30)) == {"conflict": 1}
    assert of(there) == {A: data}


@pytest.mark.parametrize(("data", "expected"), [(None, {"missing": 1}), (b"anothers, longer", {"conflict": 1})])
def test_a_rehearsal_knows_which_copies_are_ours(data: bytes | None, expected: dict[str, int]) -> None:
    clock, memory = Clock(), Remembered()
    here, there = store_with(clock=clock), MemoryStore(clock_ns=clock.ns)
    raw_file = RawFile("org", A)
    here.save(raw_file, b"half")
    run_pass(here, there, memory=memory, clock=clock, settle=30)
    clock.advance(1)
    here.save(raw_file, b"half and the rest")
    if data is not None:
        there.save(raw_file, data)
    totals = run_pass(here, there, sink=Rehearse(here), rules=BY_SIZE, memory=memory, clock=clock, settle=30)
    assert counts(totals) == expected


def test_an_old_copy_is_never_replaced() -> None:
    clock, memory = Clock(), Remembered()
    here, there = store_with(A, clock=clock), MemoryStore()
    clock.advance(100)
    run_pass(here, there, memory=memory, clock=clock, settle=30)
    assert memory.copies == {}
    here.save(RawFile("org", A), b"altered")
    here.save(RawFile("org", B), b"so that its folder shows a change")
    assert counts(run_pass(here, there, memory=memory, clock=clock, settle=30)) == {"conflict": 1, "copied": 1}
    assert of(there)[A] == A.encode()


def test_a_young_copy_is_remembered_beside_an_unreadable_folder() -> None:
    clock, memory = Clock(), Remembered()
    here, there = store_with(A, clock=clock), MemoryStore()
    store = TellingStore(here, Notice(NoticeKind.UNREADABLE_FOLDER, "memory:org/111", "no right", "org"))
    totals = run_pass(store, there, memory=memory, clock=clock, settle=30)
    assert list(memory.copies) == [("org", A)]
    assert totals.overall().unreadable_folders == 1
    assert not totals.overall().is_clean


def test_objects_are_never_provisional() -> None:
    """Only a data folder can show a raw file that is still growing; S3 has no index folders."""
    clock, memory = Clock(), Remembered()
    here, there = MemoryStore(clock_ns=clock.ns), MemoryStore()
    here.save(RawFile("org", A), b"young")
    run_pass(here, there, memory=memory, clock=clock, settle=30)
    assert memory.copies == {}


# --- stopping and errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_what_comes_after_stopping_is_pending(at: int) -> None:
    stopping = StopFlag()
    here, there = store_with(A, B, C, D), MemoryStore()
    totals = run_pass(FailingStore(here, Schedule({("entry", at): stopping.set})), there, stopping=stopping)
    overall = totals.overall()
    assert overall.discovered.as_dict() == {"files": 4, "bytes": 144}
    assert overall[Outcome.PENDING].files == 4 - overall[Outcome.COPIED].files >= 5 - at
    assert len(of(there)) == overall[Outcome.COPIED].files
    assert not overall.is_clean


def test_a_target_that_is_empty_is_not_listed() -> None:
    there = FailingStore(MemoryStore(), Schedule())
    run_pass(store_with(A), there)
    assert there.schedule.calls["scan"] == 0


def test_an_error_of_the_survey_ends_the_run() -> None:
    broken = FailingStore(MemoryStore(), Schedule(always={"is_empty": Unavailable("unreachable", "Nobody answers.")}))
    with pytest.raises(Unavailable, match="Nobody answers"):
        run_pass(store_with(A), broken)


def test_what_nobody_thought_of_ends_the_run_in_words() -> None:
    def surprise() -> None:
        raise ZeroDivisionError

    for method in ("entry", "scan", "shard_length"):
        with pytest.raises(MustStop, match="ZeroDivisionError") as caught:
            run_pass(FailingStore(store_with(A), Schedule({(method, 1): surprise})), MemoryStore())
        assert caught.value.name == "unexpected"


def test_a_listing_out_of_order_ends_the_run() -> None:
    class Backwards(MemoryStore):
        def scan(self, shard: Shard, notify: object) -> object:  # type: ignore[override]
            return reversed(list(super().scan(shard, lambda notice: None)))

    backwards = Backwards()
    for one in (A, B):
        backwards.save(RawFile("org", one), b"x")
    with pytest.raises(MustStop, match="out of order"):
        run_pass(backwards, MemoryStore())


# --- filters by age --------------------------------------------------------------------------------------------------


def test_a_filter_by_age_leaves_out_files_says_nothing_of_extra_and_finishes_no_folder() -> None:
    clock = Clock(1_000_000.0)
    here, there = store_with(A, clock=clock), store_with(D, clock=clock)
    clock.advance(100)
    here.save(RawFile("org", B), b"young")
    here.save(RawFile("org", C), b"young too")
    clock.advance(1_000)
    memory = Remembered()
    young = Ages(newer_than=1_000_050.0)
    assert counts(run_pass(here, there, memory=memory, clock=clock, ages=young)) == {"copied": 2}
    assert set(of(there)) == {B, C, D}
    assert not memory.folders
    assert counts(run_pass(here, there, memory=memory, clock=clock, ages=Ages(older_than=1_000_050.0))) == {"copied": 1}
    assert not memory.folders
    assert counts(run_pass(here, there, memory=memory, clock=clock)) == {"present": 3, "extra": 1}
    assert memory.folders


def test_a_filter_by_age_does_not_rest_on_finished_folders() -> None:
    clock, memory = Clock(1_000_000.0), Remembered()
    here, there = store_with(A, B, clock=clock), store_with(clock=clock)
    clock.advance(1_000)
    run_pass(here, there, memory=memory, clock=clock)
    assert memory.folders
    assert counts(run_pass(here, there, memory=memory, clock=clock, ages=Ages(newer_than=1_000_500.0))) == {}
    totals = run_pass(here, there, memory=memory, clock=clock, ages=Ages(older_than=1_000_500.0))
    assert (counts(totals), totals.overall().present_unseen.files) == ({"present": 2}, 0)
