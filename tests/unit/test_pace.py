"""The window of requests under way: grows while that pays, halves when the server asks for it, and comes back."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from migrator.transfer.pace import Pace
from tests.fakes import Clock

Server = Callable[[int], float]
"""Answers a second, by how many requests are under way."""


def run(pace: Pace, clock: Clock, server: Server, seconds: float) -> list[int]:
    """Let requests be answered for so long; the windows that were seen."""
    windows = []
    until = clock.seconds + seconds
    while clock.seconds < until:
        window = pace.window
        windows.append(window)
        clock.advance(window / server(window))
        pace.answered(window)
    return windows


def scales(window: int) -> float:
    return 100.0 * window


def best_at(limit: int) -> Server:
    return lambda window: 100.0 * min(window, limit)


def test_it_grows_to_the_largest_while_that_pays() -> None:
    clock = Clock()
    pace = Pace(256, clock)
    windows = run(pace, clock, scales, 30)
    assert pace.window == 256
    assert windows[0] == 16
    assert all(later in (earlier, 2 * earlier) for earlier, later in itertools.pairwise(windows))


def test_it_stays_where_more_brings_nothing() -> None:
    clock = Clock()
    pace = Pace(256, clock)
    windows = run(pace, clock, best_at(32), 60)
    assert max(windows) <= 64
    at_best = sum(window == 32 for window in windows) / len(windows)
    assert at_best > 0.8, "looking around must be rare"


def test_it_looks_again_and_finds_a_server_that_got_better() -> None:
    clock = Clock()
    pace = Pace(256, clock)
    run(pace, clock, best_at(16), 20)
    assert pace.window <= 32
    run(pace, clock, scales, 60)
    assert pace.window == 256


def test_throttling_halves_at_once_and_a_burst_of_it_counts_once() -> None:
    clock = Clock()
    pace = Pace(256, clock)
    run(pace, clock, scales, 30)
    for _ in range(100):
        pace.throttled()
    assert pace.window == 128


def test_throttling_halves_while_it_rests_from_growing_too() -> None:
    clock = Clock()
    pace = Pace(256, clock)
    run(pace, clock, best_at(16), 1)
    before = pace.window
    pace.throttled()
    assert pace.window == before // 2


def test_throttling_that_goes_on_leads_down_to_one() -> None:
    clock = Clock()
    pace = Pace(256, clock)
    run(pace, clock, scales, 30)
    for _ in range(600):
        clock.advance(0.1)
        pace.throttled()
    assert pace.window == 1


def test_it_comes_back_when_throttling_ends() -> None:
    clock = Clock()
    pace = Pace(256, clock)
    run(pace, clock, scales, 30)
    for _ in range(5):
        clock.advance(10)
        pace.throttled()
    assert pace.window == 8
    windows = run(pace, clock, scales, 120)
    assert windows[0] == 8
    assert pace.window == 256


def test_from_one_it_comes_back_too() -> None:
    clock = Clock()
    pace = Pace(64, clock)
    for _ in range(20):
        clock.advance(10)
        pace.throttled()
    assert pace.window == 1
    run(pace, clock, scales, 120)
    assert pace.window == 64


@pytest.mark.parametrize("largest", [1, 2, 3, 15, 16, 17, 100])
def test_the_largest_is_never_passed(largest: int) -> None:
    clock = Clock()
    pace = Pace(largest, clock)
    assert max(run(pace, clock, scales, 60)) == largest  # of 16, one more is not worth it for long


@example(largest=1, events=[(1.0, 32), (3.0, 32)])  # slow answers do not widen a window smaller than the smallest
@given(
    st.integers(1, 300),
    st.lists(st.tuples(st.floats(0, 20), st.one_of(st.none(), st.integers(0, 500))), max_size=60),
)
def test_whatever_happens_it_is_between_one_and_the_largest(
    largest: int, events: list[tuple[float, int | None]]
) -> None:
    clock = Clock()
    pace = Pace(largest, clock)
    for seconds, answers in events:
        clock.advance(seconds)
        if answers is None:
            pace.throttled()
        else:
            pace.answered(answers)
        assert 1 <= pace.window <= largest
