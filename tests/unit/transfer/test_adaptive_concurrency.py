"""The window of requests under way: grows while that pays, halves when the server asks for it, and comes back."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from migrator.transfer.adaptive_concurrency import AdaptiveConcurrency
from tests.fakes import Clock

Server = Callable[[int], float]
"""Answers a second, by how many requests are under way."""


def run(pace: AdaptiveConcurrency, clock: Clock, server: Server, seconds: float) -> list[int]:
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
    pace = AdaptiveConcurrency(256, clock)
    windows = run(pace, clock, scales, 30)
    assert pace.window == 256
    assert windows[0] == 16
    assert all(later in (earlier, 2 * earlier) for earlier, later in itertools.pairwise(windows))


def test_it_stays_where_more_brings_nothing() -> None:
    clock = Clock()
    pace = AdaptiveConcurrency(256, clock)
    windows = run(pace, clock, best_at(32), 60)
    assert max(windows) <= 64
    at_best = sum(window == 32 for window in windows) / len(windows)
    assert at_best > 0.8, "looking around must be rare"


def test_it_looks_again_and_finds_a_server_that_got_better() -> None:
    clock = Clock()
    pace = AdaptiveConcurrency(256, clock)
    run(pace, clock, best_at(16), 20)
    assert pace.window <= 32
    run(pace, clock, scales, 60)
    assert pace.window == 256


def test_throttling_halves_at_once_and_a_burst_of_it_counts_once() -> None:
    clock = Clock()
    pace = AdaptiveConcurrency(256, clock)
    run(pace, clock, scales, 30)
    for _ in range(100):
        pace.throttled()
    assert pace.window == 128


def test_throttling_halves_while_it_rests_from_growing_too() -> None:
    clock = Clock()
    pace = AdaptiveConcurrency(256, clock)
    run(pace, clock, best_at(16), 1)
    before = pace.window
    pace.throttled()
    assert pace.window == before // 2


def test_throttling_that_goes_on_leads_down_to_one() -> None:
    clock = Clock()
    pace = AdaptiveConcurrency(256, clock)
    run(pace, clock, scales, 30)
    for _ in range(600):
        clock.advance(0.1)
        pace.throttled()
    assert pace.window == 1


def test_it_comes_back_when_throttling_ends() -> None:
    clock = Clock()
    pace = AdaptiveConcurrency(256, clock)
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
    pace = AdaptiveConcurrency(64, clock)
    for _ in range(20):
        clock.advance(10)
        pace.throttled()
    assert pace.window == 1
    run(pace, clock, scales, 120)
    assert pace.window == 64


@pytest.mark.parametrize("largest", [1, 2, 3, 15, 16, 17, 100])
def test_the_largest_is_never_passed(largest: int) -> None:
    clock = Clock()
    pace = AdaptiveConcurrency(largest, clock)
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
    pace = AdaptiveConcurrency(largest, clock)
    for seconds, answers in events:
        clock.advance(seconds)
        if answers is None:
            pace.throttled()
        else:
            pace.answered(answers)
        assert 1 <= pace.window <= largest


# --- the times of a look, a rest and a burst, to the tick ------------------------------------------------------------


class Stepped:
    """A pace on a clock from 0, asked after each step."""

    def __init__(self, largest: int = 256) -> None:
        self.clock = Clock(0.0)
        self.pace = AdaptiveConcurrency(largest, self.clock)

    def after(self, seconds: float, answers: int) -> int:
        self.clock.advance(seconds)
        self.pace.answered(answers)
        return self.pace.window

    def climbed_once(self) -> Stepped:
        """At 0.09375 s: 32 brought nothing, and so 16 again, resting for 0.3 s. All times are binary fractions: none is rounded."""
        assert self.after(0.046875, 32) == 32
        assert self.after(0.046875, 32) == 16
        return self


def test_the_first_look_takes_forty_milliseconds_and_as_many_answers_as_tell_something() -> None:
    stepped = Stepped()
    stepped.clock.advance(0.04)
    assert stepped.after(0, 31) == 16
    assert stepped.after(0, 1) == 32
    early = Stepped()
    assert early.after(0.039, 500) == 16


def test_after_the_climb_looks_are_longer_and_the_first_rest_is_short() -> None:
    stepped = Stepped().climbed_once()
    assert stepped.after(0.15625, 100) == 16, "resting"
    assert stepped.after(0.125, 100) == 16, "a look too short to tell"
    assert stepped.after(0.03125, 0) == 32, "0.3 s are over"


def test_later_rests_are_long() -> None:
    stepped = Stepped().climbed_once()
    assert stepped.after(0.5, 350) == 32
    assert stepped.after(0.5, 350) == 16
    assert stepped.after(1.0, 700) == 16, "a short rest would be over"
    assert stepped.after(1.0, 700) == 16
    assert stepped.after(1.0, 700) == 32, "3 s are over, to the tick"


def test_ten_percent_more_is_worth_it() -> None:
    for answers, window in ((1_100, 64), (1_098, 16)):
        stepped = Stepped()
        assert stepped.after(1.0, 1_000) == 32
        assert stepped.after(1.0, answers) == window


def test_a_rate_that_falls_by_more_than_half_narrows_by_a_quarter_and_rests() -> None:
    stepped = Stepped().climbed_once()
    assert stepped.after(0.25, 150) == 16
    assert stepped.after(1.0, 300) == 12
    assert isinstance(stepped.pace.window, int)
    assert stepped.after(1.0, 300) == 12, "that is the new rate to hold against"
    assert stepped.after(1.0, 300) == 12, "it rests"
    assert stepped.after(1.0, 300) == 24, "3 s are over"


def test_half_the_rate_is_not_less_than_half() -> None:
    for answers, window in ((500, 16), (499, 12)):
        stepped = Stepped(largest=16)
        assert stepped.after(1.0, 1_000) == 16
        assert stepped.after(1.0, answers) == window


def test_the_first_look_is_held_against_nothing() -> None:
    """However slow it is: a window is narrowed for answers that got slow."""
    assert Stepped().after(128.0, 32) == 32


def test_it_does_not_narrow_below_four_for_slow_answers() -> None:
    stepped = Stepped(largest=5)
    assert stepped.after(1.0, 10_000) == 5
    assert stepped.after(1.0, 1_000) == 4
    assert stepped.after(1.0, 100) == 4


def test_a_burst_is_one_second_and_a_whole_window_is_left() -> None:
    stepped = Stepped()
    stepped.clock.advance(0.5)
    stepped.pace.throttled()
    assert stepped.pace.window == 8, "the first one counts at once"
    assert isinstance(stepped.pace.window, int)
    stepped.clock.advance(0.75)
    stepped.pace.throttled()
    assert stepped.pace.window == 8
    stepped.clock.advance(0.25)
    stepped.pace.throttled()
    assert stepped.pace.window == 4


def test_throttled_it_rests_five_seconds_and_its_looks_are_long() -> None:
    stepped = Stepped()
    stepped.pace.throttled()
    assert stepped.after(0.125, 100) == 8, "a look too short to tell"
    for _ in range(4):
        assert stepped.after(1.0, 100) == 8
    assert stepped.after(0.875, 100) == 16, "5 s are over, to the tick"


def test_what_was_answered_before_throttling_does_not_count_after_it() -> None:
    stepped = Stepped()
    assert stepped.after(1.0, 1_000) == 32
    stepped.pace.throttled()
    assert stepped.pace.window == 16, "and is not set back to what it was before it grew"
    assert stepped.after(4.0, 4_000) == 16, "it rests"
    assert stepped.after(1.0, 1_000) == 32


def test_answers_that_were_judged_are_not_counted_again() -> None:
    stepped = Stepped().climbed_once()
    assert stepped.after(0.5, 350) == 32
    assert stepped.after(0.5, 31) == 32, "one less than tells something"
    assert stepped.after(0, 1) != 32
    throttled = Stepped(largest=64)
    throttled.pace.throttled()
    assert throttled.after(5.0, 31) == 8
    assert throttled.after(0, 1) == 16
