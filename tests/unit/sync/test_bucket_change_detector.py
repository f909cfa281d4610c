"""What is new in a listing is found by the names of an earlier one, whatever comes, goes, or sorts where."""

from __future__ import annotations

import random
import uuid

import pytest

from migrator.core.entities import RawFile, RawId
from migrator.sync.bucket_change_detector import ListingDetector
from tests.memory_store import MemoryStore

CHANCE = random.Random(5)


def some_files(count: int, organization: str = "alpha") -> list[RawFile]:
    return [RawFile(organization, RawId(str(uuid.UUID(int=CHANCE.getrandbits(128), version=4)))) for _ in range(count)]


@pytest.mark.parametrize("shard_length", [0, 1, 3])
def test_exactly_what_came_is_new(shard_length: int) -> None:
    store = MemoryStore(shard_length=shard_length)
    before = [*some_files(200), *some_files(3, "b1")]
    for raw_file in before:
        store.save(raw_file, b"x")
    detector = ListingDetector(store)
    detector.remember(["alpha", "b1"])
    nothing = detector.changes()
    assert nothing is not None
    assert nothing.files == 0
    came = [*some_files(20), *some_files(1, "b1"), RawFile("alpha", RawId("00000000-0000-4000-8000-000000000000"))]
    for raw_file in came:
        store.save(raw_file, b"y")
    for raw_file in before[:50]:
        store.delete(raw_file)
    found = detector.changes()
    assert found is not None
    assert {RawFile(name, one.raw_id) for name, entries in found.entries.items() for one in entries} == set(came)


def test_more_names_than_can_be_taken_down_are_not_known() -> None:
    store = MemoryStore()
    for raw_file in some_files(11):
        store.save(raw_file, b"x")
    detector = ListingDetector(store, most=10)
    assert detector.changes() is None, "nothing was taken down yet"
    detector.remember(["alpha"])
    assert detector.changes() is None
