"""Parts in flight: in order, at most so many of a transfer, and never more in memory than there is room for."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from migrator.stores.s3.transfer.part_window import PartExecutor, PartWindow


def test_results_come_in_the_order_in_which_parts_began() -> None:
    with closing(PartExecutor(3)) as executor, closing(PartWindow[int](executor, 3)) as window:
        last_ended = threading.Event()
        assert window.begin(lambda: (last_ended.wait(10), 1)[1])
        assert window.begin(lambda: (last_ended.set(), 2)[1])
        assert [window.take(), window.take()] == [1, 2]


def test_a_window_that_is_full_takes_one_more_after_its_oldest_part() -> None:
    with closing(PartExecutor(4)) as executor, closing(PartWindow[int](executor, 2)) as window:
        assert [window.begin(lambda n=n: n) for n in range(3)] == [True, True, False]  # type: ignore[misc]
        assert window.take() == 0
        assert [window.begin(lambda n=n: n) for n in (2, 3)] == [True, False]  # type: ignore[misc]
        assert [window.take(), window.take()] == [1, 2]


def test_room_is_held_until_a_part_is_taken_also_by_one_that_failed() -> None:
    def fail() -> int:
        raise ValueError("broken")

    with closing(PartExecutor(2)) as executor, closing(PartWindow[int](executor, 2)) as one:
        other = PartWindow[int](executor, 2)
        assert one.begin(fail)
        assert other.begin(lambda: 1)
        assert not other.begin(lambda: 2), "both rooms are held"
        with pytest.raises(ValueError, match="broken"):
            one.take()
        assert other.begin(lambda: 2)
        assert [other.take(), other.take()] == [1, 2]


def test_a_transfer_that_holds_no_room_waits_for_it() -> None:
    with closing(PartExecutor(1)) as executor, closing(PartWindow[int](executor, 1)) as one:
        other, began = PartWindow[int](executor, 1), threading.Event()
        assert one.begin(lambda: 1)
        waiting = threading.Thread(target=lambda: other.begin(lambda: 2) and began.set())
        waiting.start()
        assert not began.is_set()
        assert one.take() == 1
        waiting.join(10)
        assert began.is_set()
        assert other.take() == 2
