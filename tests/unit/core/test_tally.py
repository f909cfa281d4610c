"""The vocabulary: what is a raw id, how totals add up, how organizations are cut into shards."""

import pickle

import pytest

from migrator.core.entities import Entry, RawId, Shard, is_raw_id, shards_of
from migrator.core.notices import Problem
from migrator.core.outcomes import Action, Outcome, Result, Step
from migrator.core.tally import MIGRATION_OUTCOMES, Count, Tally

RAW_ID = "0123abcd-4567-89ab-cdef-0123456789ab"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (RAW_ID, True),
        ("00000000-0000-0000-0000-000000000000", True),
        ("ffffffff-ffff-ffff-ffff-ffffffffffff", True),
        (RAW_ID.upper(), False),
        (RAW_ID.replace("-", ""), False),
        (f"{{{RAW_ID}}}", False),
        (f"urn:uuid:{RAW_ID}", False),
        (f"{RAW_ID}\n", False),
        (f" {RAW_ID}", False),
        (f"{RAW_ID}.part", False),
        (RAW_ID[:-1], False),
        (f"{RAW_ID}0", False),
        (RAW_ID.replace("0", "٠"), False),
        (RAW_ID.replace("a", "g"), False),
        ("", False),
    ],
)
def test_raw_id_is_a_uuid_in_canonical_text_only(name: str, expected: bool) -> None:
    assert bool(is_raw_id(name)) is expected


@pytest.mark.parametrize(
    ("length", "number", "first", "last"),
    [(0, 1, "", ""), (1, 16, "0", "f"), (2, 256, "00", "ff"), (3, 4096, "000", "fff")],
)
def test_shards_cut_an_organization_without_gap_and_in_order(length: int, number: int, first: str, last: str) -> None:
    shards = list(shards_of("org", length))
    assert len(shards) == number
    assert (shards[0], shards[-1]) == (Shard("org", first), Shard("org", last))
    assert shards == sorted(set(shards))


def tally(**files: int) -> Tally:
    made = Tally()
    for name, number in files.items():
        for _ in range(number):
            made[Outcome(name)].add(10)
    return made


def test_discovered_is_the_sum_of_all_outcomes() -> None:
    assert tally(copied=2, present=3, vanished=1).discovered == Count(files=6, bytes=60)
    assert tally().discovered == Count()


def test_extra_and_strays_stand_outside_of_discovered() -> None:
    made = tally(copied=1)
    made.extra.add(7)
    made.stray.add(7)
    made.present_unseen.add(7)
    assert made.discovered == Count(files=1, bytes=10)


def test_merging_adds_every_count() -> None:
    one, other = tally(copied=2, failed=1), tally(copied=1, pending=4)
    for counts in (one, other):
        counts.extra.add(1)
        counts.stray.add(2)
        counts.present_unseen.add(3)
        counts.closed.add(4)
        counts.owner_corrected.add(5)
        counts.unreadable_folders += 1
    one.merge(other)
    assert {outcome: one[outcome].files for outcome in Outcome if one[outcome].files} == {
        Outcome.COPIED: 3,
        Outcome.FAILED: 1,
        Outcome.PENDING: 4,
    }
    assert (one.extra, one.stray, one.present_unseen) == (Count(2, 2), Count(2, 4), Count(2, 6))
    assert (one.closed, one.owner_corrected) == (Count(2, 8), Count(2, 10))
    assert one.unreadable_folders == 2
    assert other[Outcome.COPIED].files == 1


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("copied", True),
        ("present", True),
        ("missing", True),
        ("vanished", True),
        ("conflict", False),
        ("failed", False),
        ("refused", False),
        ("pending", False),
    ],
)
def test_what_needs_the_operator(name: str, clean: bool) -> None:
    assert tally(**{name: 1}).is_clean is clean


def test_strays_and_extra_alone_are_clean_and_an_unreadable_folder_is_not() -> None:
    made = tally(copied=1)
    made.extra.add(1)
    made.stray.add(1)
    assert made.is_clean
    made.owner_corrected.add(1)
    assert made.is_clean
    made.unreadable_folders = 1
    assert not made.is_clean
    made.unreadable_folders = 0
    made.closed.add(1)
    assert not made.is_clean


def test_totals_name_every_outcome_in_files_and_bytes() -> None:
    told = tally(copied=2, present=1).as_dict()
    outcomes = {outcome.value for outcome in MIGRATION_OUTCOMES}
    assert set(told) == {"discovered", *outcomes, "extra", "stray", "present_unseen", "closed", "owner_corrected"}
    assert told["discovered"] == {"files": 3, "bytes": 30}
    assert told["copied"] == {"files": 2, "bytes": 20}
    assert all(set(count) == {"files", "bytes"} for count in told.values())


def test_the_totals_of_a_verification_add_up_whatever_happened() -> None:
    """A migration's other outcomes are told by what they mean for a proof: what the run did not come to is unproven."""
    made = tally(proven=1, unproven=2, conflict=4, missing=8, failed=16, pending=32, refused=64, vanished=128)
    made.present_unseen.add(10)
    told = made.as_proofs()
    assert {name: count["files"] for name, count in told.items()} == {
        "discovered": 255,
        "proven": 1,
        "unproven": 2 + 32 + 128,
        "conflict": 4,
        "missing": 8 + 64,
        "failed": 16,
        "extra": 0,
        "stray": 0,
        "proven_earlier": 1,
        "closed": 0,
    }
    assert not made.is_proven
    assert tally(proven=3).is_proven
    assert tally().is_proven
    for name in ("unproven", "conflict", "missing", "failed", "pending", "refused", "vanished", "present"):
        assert not tally(proven=3, **{name: 1}).is_proven
    unread = tally(proven=3)
    unread.unreadable_folders = 1
    assert not unread.is_proven
    closed = tally(proven=3)
    closed.closed.add(1)
    assert not closed.is_proven


def test_counts_are_summed_by_their_names_in_whatever_order_and_number_they_come() -> None:
    few = Tally(outcomes={Outcome.FAILED: Count(1, 10), Outcome.COPIED: Count(2, 20)})
    total = Tally()
    total.merge(few)
    assert (total[Outcome.FAILED], total[Outcome.COPIED]) == (Count(1, 10), Count(2, 20))
    total.merge(few.taken_back())
    assert total == Tally()


def test_two_tallies_share_no_counts() -> None:
    one, other = Tally(), Tally()
    one[Outcome.COPIED].add(1)
    one.extra.add(1)
    assert other.discovered == Count()
    assert other.extra == Count()


@pytest.mark.parametrize(
    ("entry", "mark"),
    [
        (Entry(RawId(RAW_ID), 1, "etag", 5), "etag"),
        (Entry(RawId(RAW_ID), 1, None, 5), "5"),
    ],
)
def test_a_state_is_marked_by_its_etag_or_else_its_time(entry: Entry, mark: str) -> None:
    assert entry.version == mark


@pytest.mark.parametrize(
    ("own_version", "etag_at_target", "expected"),
    [("ours", "ours", True), ("ours", "theirs", False), (None, "ours", False), ("ours", None, False)],
)
def test_only_our_own_copy_as_we_left_it_may_be_replaced(
    own_version: str | None, etag_at_target: str | None, expected: bool
) -> None:
    source = Entry(RawId(RAW_ID), 1)
    target = Entry(RawId(RAW_ID), 2, etag_at_target) if etag_at_target else None
    assert Step(Action.DIFFER, source, target, own_version).may_replace is expected


def test_a_problem_without_a_raw_file_has_no_id() -> None:
    problem = Problem("stray", "org", "/data/org/x", "no raw id")
    assert problem.as_dict()["id"] is None
    assert problem._replace(raw_id=RAW_ID).as_dict()["id"] == RAW_ID


def test_values_cross_to_worker_processes() -> None:
    entry = Entry(RawId(RAW_ID), 5, "etag", 1, 2)
    for value in (entry, Result(entry, Outcome.FAILED, "why"), Shard("org", "ab"), tally(copied=1)):
        assert pickle.loads(pickle.dumps(value)) == value
