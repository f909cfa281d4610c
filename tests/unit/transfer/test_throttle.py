"""A limit holds whatever the sizes are and however many take part: in one thread, in several, in several processes."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.config.rate_limits import Limits, Timetable, bandwidth_of
from migrator.core.cancellation import StopFlag
from migrator.transfer.throttle import MADE_UP_SECONDS, Throttle
from tests.fakes import Clock, Waits

MB = 1_000_000


def throttle(clock: Clock, *, rate: float | None = None, requests: float | None = None) -> Throttle:
    limits = Limits(bandwidth=Timetable((), rate) if rate else None, requests=requests)
    return Throttle(limits, Waits(clock), clock=clock, minute=lambda: 0)


@given(st.lists(st.integers(0, 20 * MB), min_size=1, max_size=60))
def test_what_is_paid_took_as_long_as_the_rate_says(sizes: Sequence[int]) -> None:
    clock = Clock()
    limited, began = throttle(clock, rate=5 * MB), clock()
    for size in sizes:
        limited.pay(size)
    assert clock() - began == pytest.approx(sum(sizes) / (5 * MB), abs=1e-4)


def test_requests_and_bytes_hold_each_for_itself() -> None:
    clock = Clock()
    limited, began = throttle(clock, rate=MB, requests=10), clock()
    for _ in range(100):
        limited.pay(1_000, requests=1)
    assert clock() - began == pytest.approx(10), "the requests are what takes longer"
    limited.pay(20 * MB)
    assert clock() - began == pytest.approx(27), "of the 10 s, three may be made up for"


def test_lost_time_is_made_up_for_to_5_percent_of_a_minute_and_nothing_is_given_in_advance() -> None:
    clock = Clock()
    limited = throttle(clock, rate=MB)
    assert limited.seconds_until(limited.charge(MB)) == pytest.approx(1)
    clock.advance(100)
    assert limited.charge(3 * MB) <= clock()
    assert limited.seconds_until(limited.charge(MB)) == pytest.approx(1)
    assert MADE_UP_SECONDS / 60 <= 0.05


def test_a_minute_with_a_slow_start_and_stalls_is_used_whole() -> None:
    """2 s until the first byte, and a disk that takes 2.5 s for each 8 MB: neither is lost."""
    clock = Clock()
    limited, began = throttle(clock, rate=MB), clock()
    clock.advance(2)
    for size in [MB] * 60:
        limited.pay(size)
        if limited.seconds_until(limited.charge(0)) == 0 and (clock() - began) % 8 < 1:
            clock.advance(2.5)
    assert clock() - began == pytest.approx(60, rel=0.05)


def test_the_rate_is_that_of_the_time_of_day() -> None:
    clock, minute = Clock(), [479]
    limited = Throttle(
        Limits(bandwidth=bandwidth_of("08:00-18:00 1MB/s, 10MB/s")), Waits(clock), clock=clock, minute=lambda: minute[0]
    )
    assert limited.seconds_until(limited.charge(10 * MB)) == pytest.approx(1)
    minute[0] = 480
    assert limited.seconds_until(limited.charge(10 * MB)) == pytest.approx(11)


def test_without_a_limit_nothing_waits_and_nothing_is_counted() -> None:
    clock = Clock()
    for free in (Throttle(), Throttle(Limits(duration=5)), throttle(clock, rate=None)):
        free.pay(1 << 60, requests=1 << 30)
        assert free.charge(1 << 60) == 0
    assert throttle(clock, requests=5).slice > 1 << 40, "a limit of requests cuts no bodies"


def test_whoever_was_asked_to_stop_need_not_wait() -> None:
    stopping = StopFlag()
    limited = Throttle(Limits(bandwidth=Timetable((), 1_000)), stopping)
    paid_at = limited.charge(MB)
    assert limited.seconds_until(paid_at) > 900
    stopping.set()
    assert limited.seconds_until(paid_at) == 0
    limited.pay(MB)


def test_processes_and_threads_share_one_limit() -> None:
    """2 processes with 4 threads charge 1,000 times each: the time that is paid for is that of all together."""
    limited = Throttle(Limits(requests=1_000), clock=lambda: 0.0)

    def charge() -> None:
        for _ in range(1_000):
            limited.charge(0, requests=1)

    def charge_in_threads() -> None:
        threads = [threading.Thread(target=charge) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    context = multiprocessing.get_context("fork")
    limited.charge(0, requests=1)
    processes = [context.Process(target=charge_in_threads) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert limited.charge(0, requests=1) == pytest.approx(8.002)
