"""Parts in flight: in order, at most so many of a transfer, and never more in memory than there is room for."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from migrator.stores.s3.transfer.part_window import PartExecutor, PartWindow


def test_results_come_in_the_order_in_which_parts_began() -> None:
    with closing(PartExecutor(3)) as executor, closing(PartWindow[int](executor, 3)) as window:
        last_ended = threading.Event()
        assert window.begin(lambda: (last_ended.wait(10), 1)[1], 1)
        assert window.begin(lambda: (last_ended.set(), 2)[1], 1)
        assert [window.take(), window.take()] == [1, 2]


def test_a_window_that_is_full_takes_one_more_after_its_oldest_part() -> None:
    with closing(PartExecutor(4)) as executor, closing(PartWindow[int](executor, 2)) as window:
        assert [window.begin(lambda n=n: n, 1) for n in range(3)] == [True, True, False]  # type: ignore[misc]
        assert window.take() == 0
        assert [window.begin(lambda n=n: n, 1) for n in (2, 3)] == [True, False]  # type: ignore[misc]
        assert [window.take(), window.take()] == [1, 2]


def test_room_is_held_until_a_part_is_taken_also_by_one_that_failed() -> None:
    def fail() -> int:
        raise ValueError("broken")

    with closing(PartExecutor(2)) as executor, closing(PartWindow[int](executor, 2)) as one:
        other = PartWindow[int](executor, 2)
        assert one.begin(fail, 1)
        assert other.begin(lambda: 1, 1)
        assert not other.begin(lambda: 2, 1), "both rooms are held"
        with pytest.raises(ValueError, match="broken"):
            one.take()
        assert other.begin(lambda: 2, 1)
        assert [other.take(), other.take()] == [1, 2]


def test_a_transfer_that_holds_no_room_waits_for_it() -> None:
    with closing(PartExecutor(1)) as executor, closing(PartWindow[int](executor, 1)) as one:
        other, began = PartWindow[int](executor, 1), threading.Event()
        assert one.begin(lambda: 1, 1)
        waiting = threading.Thread(target=lambda: other.begin(lambda: 2, 1) and began.set())
        waiting.start()
        assert not began.is_set()
        assert one.take() == 1
        waiting.join(10)
        assert began.is_set()
        assert other.take() == 2


def test_bytes_in_memory_are_bounded_whatever_the_parts_are() -> None:
    with closing(PartExecutor(8, size=10)) as executor:
        one, other = PartWindow[int](executor, 8), PartWindow[int](executor, 8)
        assert [one.begin(lambda: 1, 4), one.begin(lambda: 2, 4), one.begin(lambda: 3, 4)] == [True, True, False]
        assert other.begin(lambda: 4, 0), "a part that is a file needs no memory"
        assert one.take() == 1
        assert [one.begin(lambda: 3, 6), one.begin(lambda: 5, 1)] == [True, False]
        assert [one.take(), one.take(), other.take()] == [2, 3, 4]
        assert one.begin(lambda: 6, 99), "what is larger than all takes all, and does not wait for ever"
        assert one.take() == 6


def test_small_parts_do_not_pass_one_who_waits_for_more_room() -> None:
    with closing(PartExecutor(8, size=10)) as executor, closing(PartWindow[int](executor, 8)) as window:
        has_it, may_end = threading.Event(), threading.Event()

        def hold_all() -> None:
            with executor.room_for(10):
                has_it.set()
                may_end.wait(10)

        assert window.begin(lambda: 1, 5)
        whole = threading.Thread(target=hold_all)
        whole.start()
        while window.begin(lambda: 2, 5):  # is refused once the other waits, and only then
            window.take()
        window.take()
        assert has_it.wait(10)
        may_end.set()
        whole.join(10)
        assert window.begin(lambda: 3, 10)
        assert window.take() == 3
