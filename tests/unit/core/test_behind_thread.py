"""What is done behind is done in order, one at a time, and its failure is not lost."""

from __future__ import annotations

import threading

import pytest

from migrator.core.parallel_calls import BehindThread


def test_calls_run_in_order_in_another_thread_and_have_ended_after_wait() -> None:
    behind, seen = BehindThread("test"), []
    for number in range(100):
        behind.submit(lambda n=number: seen.append((n, threading.current_thread().name)))
    behind.wait()
    assert [number for number, _ in seen] == list(range(100))
    assert all(name.startswith("test") for _, name in seen)
    behind.close()


def test_one_call_is_under_way_at_most() -> None:
    behind, may_end, second_began = BehindThread("test"), threading.Event(), threading.Event()
    behind.submit(lambda: (may_end.wait(10), None)[1])
    submitting = threading.Thread(target=behind.submit, args=(second_began.set,))
    submitting.start()
    assert not second_began.is_set()
    may_end.set()
    submitting.join(10)
    behind.wait()
    assert second_began.is_set()
    behind.close()


def test_a_failure_is_raised_by_whoever_waits_next() -> None:
    behind = BehindThread("test")
    behind.submit(int, "no number")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no number"):
        behind.submit(lambda: None)
    behind.wait()
    behind.close()


def test_closing_what_was_never_used_is_fine() -> None:
    behind = BehindThread("test")
    behind.wait()
    behind.close()


def test_arguments_of_both_kinds_arrive_and_one_thread_does_it_all() -> None:
    behind, seen = BehindThread("test"), []

    def call(number: int, *, word: str) -> None:
        seen.append((number, word, threading.get_ident()))

    both = threading.Barrier(2)
    for number in range(3):
        behind.submit(call, number, word="after")
        behind.wait()
    assert [(number, word) for number, word, _ in seen] == [(0, "after"), (1, "after"), (2, "after")]
    assert len({thread for *_, thread in seen}) == 1
    assert behind._pool is not None
    waiting = [behind._pool.submit(both.wait, 0.2) for _ in range(2)]
    assert all(type(call.exception(10)) is threading.BrokenBarrierError for call in waiting), "two ran at once"
    behind.close()
