"""What a pass makes of index folders that an earlier one finished, when something changed at either end since."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

import pytest

from migrator.core.entities import RawFile
from migrator.core.outcomes import Outcome
from migrator.sync.action_tables import BY_CONTENT, BY_SIZE, Rules
from tests.backends import raw_id
from tests.fakes import Clock, FailingStore, Schedule
from tests.memory_store import MemoryStore
from tests.passes import Remembered, counts, run_pass

ID, BESIDE, FAR = (raw_id(digits) for digits in ("abc0", "abc1", "fff0"))
ONE = RawFile("org", ID)
EACH = (ID, BESIDE, FAR)


class Scene:
    """Three raw files in two index folders, migrated and settled; then a test changes something, and time goes on."""

    def __init__(self, *, shard_length: int = 1, there: MemoryStore | None = None, first: bytes = b"content") -> None:
        self.clock, self.memory = Clock(), Remembered()
        self.here = MemoryStore(clock_ns=self.clock.ns, index_folders=True, etags=False, shard_length=shard_length)
        self.there = there or MemoryStore(clock_ns=self.clock.ns)
        for number, one in enumerate(EACH):
            self.here.save(RawFile("org", one), first if one == ID else b"x" * number)
        self.clock.advance(100)

    def run(
        self, *, lists_target: bool = False, rules: Rules = BY_CONTENT, sample: Callable[..., object] = itemgetter(0)
    ) -> dict[str, int]:
        self.watched = FailingStore(self.here, Schedule())
        self.target = FailingStore(self.there, Schedule())
        totals = run_pass(
            self.watched,
            self.target,
            memory=self.memory,
            clock=self.clock,
            settle=30,
            lists_target=lists_target,
            rules=rules,
            pick=sample,  # type: ignore[arg-type]
        )
        self.unseen = totals.overall().present_unseen.files
        self.sampled = (totals.samples, totals.sampled_of)
        return counts(totals)

    @property
    def read(self) -> int:
        """How many raw files of the source were opened."""
        return self.watched.schedule.calls["open"]

    def assert_safe_if_clean(self, found: dict[str, int]) -> None:
        if not found.keys() & {outcome.value for outcome in (Outcome.CONFLICT, Outcome.FAILED)}:
            here, there = self.here.contents(), self.there.contents()
            assert {name: there.get(name) for name in here} == here


def finished() -> Scene:
    scene = Scene()
    assert scene.run() == {"copied": 3}
    assert sorted(name for _, name in scene.memory.folders) == ["abc", "fff"]
    scene.clock.advance(100)
    return scene


def test_nothing_changed_and_nothing_is_read_nor_listed_but_the_sample() -> None:
    scene = finished()
    assert scene.run() == {"present": 3}
    assert (scene.unseen, scene.read, scene.sampled) == (3, 0, (1, 16))
    assert scene.target.schedule.calls["scan"] == 1


@pytest.mark.parametrize("rules", [BY_CONTENT, BY_SIZE])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"content, and more", {"copied": 1, "present": 2}),
        (b"CONTENT, and more", {"conflict": 1, "present": 2}),
        (b"another", {"conflict": 1, "present": 2}),
        (b"content", {"present": 3}),
        (b"short", {"conflict": 1, "present": 2}),
        (b"cont", {"conflict": 1, "present": 2}),
        (b"", {"conflict": 1, "present": 2}),
    ],
)
@pytest.mark.parametrize("lists_target", [False, True])
def test_a_raw_file_that_is_written_to_in_place_is_never_present_by_its_size(
    lists_target: bool, content: bytes, expected: dict[str, int], rules: Rules
) -> None:
    """No folder's time tells of it: `cp` over a file, `tar --overwrite`, an editor, a writer that was paused."""
    scene = finished()
    scene.here.save(ONE, content)
    scene.clock.advance(100)
    found = scene.run(lists_target=lists_target, rules=rules)
    assert found == expected
    scene.assert_safe_if_clean(found)
    again = scene.run(lists_target=lists_target, rules=rules)
    assert again == {"present": 3} if "conflict" not in expected else again == expected


@pytest.mark.parametrize("by", [-3600, 60, 10**6])
def test_a_change_is_found_whatever_the_clock_says(by: float) -> None:
    scene = finished()
    scene.clock.advance(by)
    scene.here.save(ONE, b"another")
    scene.clock.advance(-by)
    assert scene.run() == {"conflict": 1, "present": 2}


def test_what_another_put_under_the_name_is_not_replaced_although_it_is_a_beginning() -> None:
    scene = finished()
    scene.here.save(ONE, b"content, and more")
    scene.there.save(ONE, b"cont")
    scene.clock.advance(100)
    assert scene.run() == {"conflict": 1, "present": 2}
    assert scene.there.contents()[ONE] == b"cont"


def test_what_was_there_before_this_program_came_is_not_replaced_although_it_is_a_beginning() -> None:
    there = MemoryStore()
    there.save(ONE, b"content")
    scene = Scene(there=there)
    assert scene.run() == {"copied": 2, "present": 1}
    scene.here.save(ONE, b"content, and more")
    scene.clock.advance(100)
    assert scene.run() == {"conflict": 1, "present": 2}


def test_a_copy_that_grew_twice_is_replaced_twice() -> None:
    scene = finished()
    for more in (b"content, ", b"content, and more"):
        scene.here.save(ONE, more)
        scene.clock.advance(100)
        assert scene.run() == {"copied": 1, "present": 2}
    assert scene.there.contents()[ONE] == b"content, and more"


def test_new_raw_files_open_no_other_and_young_ones_leave_their_folder_finished() -> None:
    scene = finished()
    scene.here.save(RawFile("org", raw_id("abc2")), b"new")
    assert scene.run() == {"copied": 1, "present": 3}
    assert (scene.read, scene.unseen) == (1, 1)
    assert scene.memory.folders["org", "abc"].files == 2, "the new one may still be written to"
    scene.clock.advance(100)
    assert scene.run() == {"present": 4}
    assert scene.read == 1, "the one that was young"
    assert scene.run() == {"present": 4}
    assert (scene.read, scene.unseen) == (0, 4)


# --- the target ------------------------------------------------------------------------------------------------------


def lost(there: MemoryStore) -> None:
    there.delete(ONE)


def other_size(there: MemoryStore) -> None:
    there.save(ONE, b"of another size")


def other_content(there: MemoryStore) -> None:
    there.save(ONE, b"another")


def lost_and_hidden(there: MemoryStore) -> None:
    """Bytes saved as many new ones there."""
    there.delete(ONE)
    there.save(RawFile("org", raw_id("abc7")), b"new")
    there.save(RawFile("org", raw_id("abc8")), b"new")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lost, {"copied": 1, "present": 2}),
        (other_size, {"conflict": 1, "present": 2}),
        (other_content, {"conflict": 1, "present": 2}),
        (lost_and_hidden, {"copied": 1, "present": 2, "extra": 2}),
    ],
)
@pytest.mark.parametrize("how", ["sample", "everything listed", "small"])
def test_damage_at_the_target_is_found_by_name_size_and_mark(
    how: str, damage: Callable[[MemoryStore], None], expected: dict[str, int]
) -> None:
    scene = Scene(shard_length=0 if how == "small" else 1)
    scene.run()
    damage(scene.there)
    shards = itemgetter(0xA if how == "sample" else 0)
    found = scene.run(sample=shards, lists_target=how == "everything listed")
    assert found == expected
    assert (scene.unseen, scene.sampled) == (0, (0, 0))
    scene.assert_safe_if_clean(found)


def test_more_at_the_target_than_at_the_source_has_all_of_it_listed() -> None:
    """Bytes writes there by now: this is the first pass after a switch, or a later one."""
    scene = finished()
    scene.there.save(RawFile("org", raw_id("0007")), b"saved by Bytes")
    scene.there.delete(ONE)
    assert scene.run() == {"copied": 1, "present": 2, "extra": 1}
    assert scene.read == 2, "the lost one, and the one beside it, whose mark is not known by itself"


def test_everything_listed_reads_nothing_that_did_not_change() -> None:
    scene = finished()
    assert scene.run(lists_target=True) == {"present": 3}
    assert (scene.unseen, scene.read, scene.sampled) == (0, 0, (0, 0))


def test_a_folder_that_the_target_lost_is_not_finished_until_it_is_there_again() -> None:
    scene = finished()
    scene.there.delete(ONE)
    scene.here.unreadable.add(ONE)
    assert scene.run(lists_target=True) == {"failed": 1, "present": 2}
    assert list(scene.memory.folders) == [("org", "fff")]
    assert scene.run() == {"failed": 1, "present": 2}, "no later pass calls it present"


# --- objects ---------------------------------------------------------------------------------------------------------


def test_objects_of_a_source_are_compared_once_and_again_when_they_changed() -> None:
    """Both ends are listed each time; a data folder at the target is not read again."""
    clock, memory = Clock(), Remembered()
    here = MemoryStore(clock_ns=clock.ns)
    there = MemoryStore(clock_ns=clock.ns, index_folders=True, etags=False)
    for one in EACH:
        here.save(RawFile("org", one), b"content")

    def run() -> tuple[dict[str, int], int]:
        watched = FailingStore(there, Schedule())
        found = run_pass(here, watched, memory=memory, clock=clock, lists_target=True)
        return counts(found), watched.schedule.calls["open"]

    assert run() == ({"copied": 3}, 0)
    assert run() == ({"present": 3}, 0)
    clock.advance(1)
    here.save(ONE, b"another")
    assert run()[0] == {"conflict": 1, "present": 2}
