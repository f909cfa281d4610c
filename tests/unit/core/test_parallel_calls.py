"""Questions asked at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from migrator.core.parallel_calls import AT_ONCE, run_concurrently


def test_answers_come_in_the_order_of_the_questions() -> None:
    """The first one waits for the last: they run at the same time, or this never ends."""
    last_was_asked = threading.Event()

    def first() -> str:
        assert last_was_asked.wait(10)
        return "first"

    def last() -> str:
        last_was_asked.set()
        return "last"

    assert run_concurrently([first, last]) == ["first", "last"]


class AllAsked(list[Callable[[], None]]):
    """Questions that nobody answers before all have been asked; knows how many threads there were by then."""

    def __init__(self, count: int) -> None:
        self.were_asked = threading.Event()
        self.threads = 0
        super().__init__([self.answer] * count)

    def answer(self) -> None:
        assert self.were_asked.wait(60)

    def __iter__(self) -> Iterator[Callable[[], None]]:
        yield from super().__iter__()
        self.threads = sum(thread.name.startswith("look_") for thread in threading.enumerate())
        self.were_asked.set()


@pytest.mark.parametrize(("count", "at_once"), [(2, 2), (AT_ONCE, AT_ONCE), (3 * AT_ONCE, AT_ONCE)])
def test_no_more_than_eight_at_once(count: int, at_once: int) -> None:
    """A thread is made for each question that comes while all others are busy, up to as many as there may be."""
    questions = AllAsked(count)
    run_concurrently(questions)
    assert questions.threads == at_once


def test_eight_do_run_at_once() -> None:
    full = threading.Barrier(AT_ONCE)
    turns = run_concurrently([partial(full.wait, 60)] * (2 * AT_ONCE))
    assert sorted(turns) == sorted(2 * list(range(AT_ONCE))), "each round was full"


def test_the_first_error_is_raised_when_all_have_ended() -> None:
    ended: list[str] = []

    def fail(word: str) -> None:
        ended.append(word)
        raise ValueError(word)

    with pytest.raises(ValueError, match="one"):
        run_concurrently([partial(fail, "one"), partial(fail, "two"), partial(ended.append, "three")])
    assert sorted(ended) == ["one", "three", "two"]


def test_a_single_question_needs_no_thread() -> None:
    assert run_concurrently([threading.current_thread]) == [threading.current_thread()]
    assert run_concurrently([]) == []
