"""Questions asked at the same time."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from migrator.together import AT_ONCE, together


def test_answers_come_in_the_order_of_the_questions() -> None:
    """The first one waits for the last: they run at the same time, or this never ends."""
    last_was_asked = threading.Event()

    def first() -> str:
        assert last_was_asked.wait(10)
        return "first"

    def last() -> str:
        last_was_asked.set()
        return "last"

    assert together([first, last]) == ["first", "last"]


def test_no_more_than_eight_at_once() -> None:
    lock = threading.Lock()
    full = threading.Barrier(AT_ONCE)
    running = most = 0

    def ask() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        full.wait(10)
        with lock:
            running -= 1

    together([ask] * (3 * AT_ONCE))
    assert most == AT_ONCE


def test_the_first_error_is_raised_when_all_have_ended() -> None:
    ended: list[str] = []

    def fail(word: str) -> None:
        ended.append(word)
        raise ValueError(word)

    with pytest.raises(ValueError, match="one"):
        together([partial(fail, "one"), partial(fail, "two"), partial(ended.append, "three")])
    assert sorted(ended) == ["one", "three", "two"]


def test_a_single_question_needs_no_thread() -> None:
    assert together([threading.current_thread]) == [threading.current_thread()]
    assert together([]) == []
