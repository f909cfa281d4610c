"""Readers of large objects share their room so that none waits for ever, also while what they read waits for another end's room."""

from __future__ import annotations

import hashlib
import io
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from migrator.core.entities import Entry
from migrator.core.size_thresholds import SMALLEST_PART
from migrator.stores.s3.part_sizes import parts_in_flight
from migrator.stores.s3.transfer.object_content import S3Content
from migrator.stores.s3.transfer.object_reads import ObjectAddress
from migrator.stores.s3.transfer.part_window import BYTES_IN_MEMORY, PartExecutor
from migrator.stores.s3.transfer.ranged_get import RangeReader
from migrator.transfer.throttle import Throttle
from tests.backends import raw_id
from tests.fakes import quick_patience

SIZE = 2_000 << 20
UNIT = SMALLEST_PART
ROOMS = 2


class Client:
    """Answers each range with the number of its part, again and again."""

    def __init__(self, size: int) -> None:
        self._size = size

    def get_object(self, **asked: Any) -> dict[str, Any]:
        begin, end = (int(number) for number in asked["Range"].removeprefix("bytes=").split("-"))
        data = io.BytesIO(part_at(begin, end - begin + 1))
        body = SimpleNamespace(_raw_stream=data, close=data.close)
        return {"Body": body, "ContentRange": f"bytes {begin}-{end}/{self._size}"}


def part_at(offset: int, size: int) -> bytes:
    return bytes([offset // UNIT % 251]) * size


def reader_in(
    executor: PartExecutor, size: int = SIZE, *, part_size: int | None = UNIT, etag: str = "e"
) -> RangeReader:
    return RangeReader(
        Client(size),  # type: ignore[arg-type]
        None,
        ObjectAddress("bucket", "key"),
        Entry(raw_id("0001"), size, etag),
        part_size=part_size,
        first=None,
        executor=executor,
        patience=quick_patience(),
        throttle=Throttle(),
    )


@pytest.mark.parametrize("part_size", [UNIT, None])
def test_memory_is_used_again_and_never_while_somebody_looks_at_it(part_size: int | None) -> None:
    """What was lent stays as it is until the next call; the digest, computed beside it, is the object's; parts share a few buffers."""
    size, executor = (BYTES_IN_MEMORY // UNIT + 4) * UNIT, PartExecutor()
    content = b"".join(part_at(offset, UNIT) for offset in range(0, size, UNIT))
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    entry = Entry(raw_id("0001"), size, digest if part_size is None else "e")
    memory: dict[int, object] = {}
    with closing(executor):
        reader = reader_in(executor, size, part_size=part_size)
        read = S3Content(ObjectAddress("bucket", "key"), entry, lambda check, again: reader)
        with closing(read):
            for offset in range(0, size, UNIT):
                lent = read.borrow(UNIT)
                memory[id(lent.obj)] = lent.obj
                assert lent == part_at(offset, UNIT), f"at {offset:,}"
            assert not read.borrow(1)
            if part_size is None:
                read.finish()
    assert len(memory) <= BYTES_IN_MEMORY // UNIT + 1


@pytest.mark.timeout(60)
def test_a_reader_that_is_not_read_leaves_room_for_another() -> None:
    """It asks ahead before it gives a part out. The other way round two copies could hold each other up: one has all room to read, and
    waits to write; the other has all room to write, and waits to read.
    """
    assert parts_in_flight(SIZE) > ROOMS
    executor = PartExecutor(ROOMS)
    with closing(executor), closing(reader_in(executor)) as one, closing(reader_in(executor)) as other:
        for _ in range(3):
            for reader in (one, other):
                assert len(reader.read(SMALLEST_PART)[0]) == SMALLEST_PART
                room = executor.submit(str, UNIT, wait=False)
                assert room is not None, "all room is held by readers that nobody reads"
                executor.give_back(UNIT)


def test_room_is_given_back_when_a_reader_is_closed_in_mid_read() -> None:
    executor = PartExecutor(ROOMS)
    with closing(executor):
        with closing(reader_in(executor)) as reader:
            reader.read(SMALLEST_PART)
        began = [executor.submit(str, UNIT, wait=False) is not None for _ in range(ROOMS + 1)]
        assert began == [True] * ROOMS + [False]
