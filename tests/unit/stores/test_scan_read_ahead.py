"""Reading ahead in a thread: the same items and the same errors, in bounded memory, and no thread is left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.core.errors import Unavailable
from migrator.stores.scan_read_ahead import ReadAhead

CHUNK = 1_000
AHEAD = 4
"""Chunks: three that wait, and the one that is being read."""


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    before = readers()
    yield
    assert [thread for thread in readers() if thread not in before and not thread.join(10) and thread.is_alive()] == []


def read(make: Callable[[], Iterator[int]]) -> Iterator[int]:
    """What is read ahead, item by item."""
    for chunk in ReadAhead(make):
        yield from chunk


class Counted:
    """Gives numbers, and knows how many were taken. `at` is told before the number is given."""

    def __init__(self, count: int, error_at: int = -1, error: BaseException | None = None) -> None:
        self.count, self.error_at, self.error = count, error_at, error
        self.taken = 0
        self.closed = threading.Event()

    def __call__(self) -> Iterator[int]:
        try:
            for number in range(self.count):
                if number == self.error_at and self.error is not None:
                    raise self.error
                self.taken += 1
                yield number
        finally:
            self.closed.set()


@given(st.integers(0, 4 * CHUNK + 3))
def test_everything_comes_in_order(count: int) -> None:
    assert list(read(Counted(count))) == list(range(count))


@pytest.mark.parametrize("at", [0, 1, CHUNK - 1, CHUNK, 3 * CHUNK + 7])
@pytest.mark.parametrize("error", [Unavailable("unreachable", "Gone."), ValueError("odd"), KeyboardInterrupt()])
def test_an_error_comes_in_its_place(at: int, error: BaseException) -> None:
    """After the whole chunks before it: what shared its chunk was read with it, and a listing that failed is of no use."""
    met: list[int] = []
    with pytest.raises(type(error)) as raised:
        met.extend(read(Counted(10_000, at, error)))
    assert raised.value is error
    assert met == list(range(at - at % CHUNK))


def test_an_error_on_the_way_to_the_first_item() -> None:
    def fails() -> Iterator[int]:
        raise Unavailable("unreachable", "Gone.")

    with pytest.raises(Unavailable):
        list(read(fails))


def test_it_begins_at_once() -> None:
    began = threading.Event()

    def items() -> Iterator[int]:
        began.set()
        yield 1

    ahead = ReadAhead(items)
    assert began.wait(10)
    assert list(ahead) == [[1]]


def test_no_more_than_some_chunks_are_read_ahead() -> None:
    """However long nobody takes anything; looked at after each item, when the reader has had every chance."""
    items = Counted(50 * CHUNK)
    most = 0
    for number in read(items):
        most = max(most, items.taken - number)
    assert most <= (AHEAD + 1) * CHUNK


@pytest.mark.parametrize("taken", [1, CHUNK, CHUNK + 1, 7 * CHUNK])
def test_who_stops_early_ends_the_thread(taken: int) -> None:
    items = Counted(10**9)
    running = read(items)
    for _ in range(taken):
        next(running)
    running.close()  # type: ignore[attr-defined]
    assert items.closed.wait(10), "what is read from was not closed"
    assert items.taken <= taken + (AHEAD + 1) * CHUNK


def test_who_drops_it_ends_the_thread() -> None:
    items = Counted(10**9)
    for _ in read(items):
        break
    assert items.closed.wait(10)
