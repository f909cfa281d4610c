"""When to try again, when to give up a raw file, and when to end the run; on a clock that the test moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from migrator.core.errors import (
    AccessDenied,
    BucketClosed,
    BucketFull,
    BucketMissing,
    Interrupted,
    MigratorError,
    MustStop,
    NotTheSame,
    StoreError,
    StoreFull,
    TargetBroken,
    Unavailable,
    Vanished,
)
from migrator.transfer.retry import ATTEMPTS, LEAST_ATTEMPTS, REFUSALS_IN_A_ROW, RetryPolicy
from tests.fakes import Clock, Waits

WENT = Unavailable("unreachable", "The server is gone.", why="It crashed.", cure="Start it.")
DENIED = AccessDenied("access-denied", "No right.", cure="Get one.")


class Case:
    """Patience, its clock, and the pauses that it made."""

    def __init__(self, seconds: float = 120, at_first: float = 10, *, parted: bool = False) -> None:
        self.clock = Clock()
        self.stopping = Waits(self.clock)
        self.patience = RetryPolicy(
            seconds=seconds, at_first=at_first, clock=self.clock, stopping=self.stopping, parted=parted
        )

    @property
    def pauses(self) -> list[float]:
        return self.stopping.waited


def answering(answers: Iterable[MigratorError | str]) -> Callable[[], str]:
    """An attempt that comes to these ends, one after the other."""
    following = iter(answers)

    def attempt() -> str:
        answer = next(following)
        if isinstance(answer, MigratorError):
            raise answer
        return answer

    return attempt


def always(error: MigratorError) -> Callable[[], str]:
    def attempt() -> str:
        raise error

    return attempt


@pytest.mark.parametrize("failures", [0, 1, 5])
def test_a_passing_fault_is_tried_again_with_growing_pauses(failures: int) -> None:
    case = Case()
    assert case.patience.run(answering([*[WENT] * failures, "done"])) == "done"
    longest = [0.2 * 2**number for number in range(failures)]
    assert len(case.pauses) == failures
    assert all(most / 2 <= pause <= most for pause, most in zip(case.pauses, longest, strict=True))


def test_pauses_do_not_grow_for_ever() -> None:
    case = Case(seconds=500, at_first=500)
    with pytest.raises(MustStop):
        case.patience.run(always(WENT))
    assert max(case.pauses) <= 10


@pytest.mark.row(36)
@pytest.mark.parametrize(("succeeded", "limit"), [(False, 10), (True, 120)])
def test_nothing_succeeding_ends_the_run(succeeded: bool, limit: float) -> None:
    case = Case()
    if succeeded:
        case.patience.run(lambda: "once")
        case.clock.advance(1)
    began = case.clock()
    with pytest.raises(MustStop) as caught:
        case.patience.run(always(WENT))
    assert limit <= case.clock() - began <= limit + 10
    assert (caught.value.name, caught.value.what, caught.value.cure) == (WENT.name, WENT.what, WENT.cure)
    assert caught.value.why == f"It crashed. Nothing has succeeded for {limit} seconds."
    assert caught.value.__cause__ is WENT


def test_the_first_patience_is_never_longer_than_the_later_one() -> None:
    case = Case(seconds=2, at_first=10)
    began = case.clock()
    with pytest.raises(MustStop):
        case.patience.run(always(WENT))
    assert case.clock() - began < 5


def test_an_error_without_cure_gets_one() -> None:
    case = Case(seconds=0)
    with pytest.raises(MustStop) as caught:
        case.patience.run(always(Unavailable("unreachable", "It is gone.")))
    assert "rerun the same command" in caught.value.cure


def test_while_others_succeed_one_raw_file_is_given_up_and_not_the_run() -> None:
    case, tries, went = Case(), 0, Unavailable("unreachable", "It does not answer.")

    def attempt() -> str:
        nonlocal tries
        tries += 1
        case.patience.succeeded()  # another thread's
        raise went

    with pytest.raises(Unavailable) as caught:
        case.patience.run(attempt)
    assert caught.value is went
    assert tries == ATTEMPTS
    assert 120 < sum(case.pauses) < 360


@pytest.mark.parametrize("failures", [1, LEAST_ATTEMPTS - 1])
def test_a_lost_packet_ends_nothing_even_without_patience(failures: int) -> None:
    assert Case(seconds=0).patience.run(answering([*[WENT] * failures, "done"])) == "done"
    with pytest.raises(MustStop):
        Case(seconds=0).patience.run(answering([WENT] * LEAST_ATTEMPTS))


def test_a_body_that_breaks_off_is_asked_for_as_often_as_any_request() -> None:
    case, went, asked = Case(), Unavailable("broken-off", "It ended early."), 0
    breaks = case.patience.attempts()

    def read() -> None:
        nonlocal asked
        asked += 1
        case.patience.succeeded()  # it was opened
        breaks.failed(went)
        read()

    with pytest.raises(Unavailable) as caught:
        read()
    assert caught.value is went
    assert asked == ATTEMPTS


def test_a_success_elsewhere_begins_patience_anew() -> None:
    case = Case(seconds=60)
    case.patience.run(lambda: "once")
    tries = 0

    def attempt() -> str:
        nonlocal tries
        tries += 1
        if tries == 3:
            case.clock.advance(59)
            case.patience.succeeded()
        if tries < 6:
            raise WENT
        return "done"

    assert case.patience.run(attempt) == "done"


def test_a_success_just_before_the_server_went_gives_nobody_up() -> None:
    """What was under way when it went fails and succeeds in any order; then nothing does, until it comes back minutes later."""
    case, tries = Case(seconds=400), 0
    began = case.clock()

    def attempt() -> str:
        nonlocal tries
        tries += 1
        if tries == 2:
            case.patience.succeeded()  # another thread's, after this call failed the first time
        if case.clock() - began < 300:
            raise WENT
        return "done"

    assert case.patience.run(attempt) == "done"
    assert tries > ATTEMPTS


def test_patience_is_counted_from_the_last_success_elsewhere() -> None:
    case, tries = Case(), 0
    began = case.clock()

    def attempt() -> str:
        nonlocal tries
        tries += 1
        if tries == 2:
            case.patience.succeeded()
        raise WENT

    with pytest.raises(MustStop):
        case.patience.run(attempt)
    assert 120 <= case.clock() - began <= 131


@pytest.mark.parametrize(
    "error", [Vanished("a", "b"), NotTheSame("a", "b"), DENIED, StoreError("a", "b"), MustStop("a", "b")]
)
def test_other_errors_are_not_tried_again(error: MigratorError) -> None:
    case = Case()
    with pytest.raises(type(error)) as caught:
        case.patience.run(answering([error, "never"]))
    assert caught.value is error
    assert case.pauses == []


def test_stopping_ends_the_waiting() -> None:
    case = Case()
    case.stopping.set()
    with pytest.raises(Interrupted):
        case.patience.run(always(WENT))
    with pytest.raises(Interrupted):
        case.patience.go_on()


def test_going_on_is_fine_while_nobody_asks_to_stop() -> None:
    patience = Case().patience
    patience.go_on()
    assert patience.run(lambda: "an answer") == "an answer"


def test_the_most_requests_that_one_raw_file_costs_are_what_the_documents_say() -> None:
    """The way of a raw file is tried again, and so is each of its requests: but not when that request has had its tries."""
    case, asked = Case(), 0

    def request() -> str:
        nonlocal asked
        asked += 1
        case.patience.succeeded()  # another raw file's
        raise Unavailable("unreachable", "It does not answer.")

    with pytest.raises(Unavailable):
        case.patience.run(lambda: case.patience.run(request), is_request=False)
    by_libcurl = 1
    page = (Path(__file__).parents[3] / "docs" / "performance.md").read_text()
    assert f"costs at most {by_libcurl + asked} requests" in page


# --- failures for good -----------------------------------------------------------------------------------------------


def test_a_full_target_ends_the_run_at_once() -> None:
    with pytest.raises(MustStop, match="No space") as caught:
        Case().patience.failed(StoreFull("target-full", "No space."))
    assert caught.value.name == "target-full"


@pytest.mark.parametrize("error", [DENIED, BucketMissing("bucket-missing", "None.", cure="Make it.")])
def test_refusals_in_a_row_end_the_run(error: StoreError) -> None:
    patience = Case().patience
    for _ in range(REFUSALS_IN_A_ROW - 1):
        patience.failed(error)
    with pytest.raises(MustStop, match="in a row") as caught:
        patience.failed(error)
    assert (caught.value.name, caught.value.what) == (error.name, error.what)
    assert caught.value.cure == f"{error.cure} Then rerun."


def test_a_raw_file_that_is_carried_between_refusals_begins_the_row_anew() -> None:
    patience = Case().patience
    for _ in range(3 * REFUSALS_IN_A_ROW):
        patience.failed(DENIED)
        patience.run(lambda: "fine", is_request=False)


def test_what_was_under_way_when_the_first_was_refused_proves_nothing() -> None:
    """A slow server ends it long after others were refused at once."""
    case = Case()
    before = case.clock()
    case.clock.advance(1)
    for _ in range(REFUSALS_IN_A_ROW - 1):
        case.patience.failed(DENIED)
        case.patience.carried(before)
    with pytest.raises(MustStop, match="in a row"):
        case.patience.failed(DENIED)


def test_an_attempt_begins_anew_with_each_try() -> None:
    """What failed in passing before a refusal, and went well after it, does prove something."""
    case = Case()
    answers = answering([WENT, "fine"])

    def attempt() -> str:
        if not case.pauses:  # the first try is under way when others are refused
            case.clock.advance(1)
            for _ in range(REFUSALS_IN_A_ROW - 1):
                case.patience.failed(DENIED)
        return answers()

    assert case.patience.run(attempt, is_request=False) == "fine"
    case.patience.failed(DENIED)


def test_a_request_that_works_between_refusals_does_not() -> None:
    """Who may list may not write: pages of a listing come between, most where organizations are small."""
    patience = Case().patience
    for _ in range(REFUSALS_IN_A_ROW - 1):
        patience.failed(DENIED)
        patience.run(lambda: "a page")
    with pytest.raises(MustStop, match="in a row"):
        patience.failed(DENIED)


@pytest.mark.parametrize("error", [Vanished("a", "b"), WENT, StoreError("a", "b")])
def test_other_failures_never_do(error: StoreError) -> None:
    patience = Case().patience
    for _ in range(3 * REFUSALS_IN_A_ROW):
        patience.failed(error)
    assert "acme" not in patience.closed


# --- organizations with buckets of their own --------------------------------------------------------------------------


def test_a_bucket_that_refuses_closes_only_its_organization() -> None:
    patience = Case(parted=True).patience
    for _ in range(REFUSALS_IN_A_ROW - 1):
        patience.failed(DENIED, "b1")
        patience.run(lambda: "fine", is_request=False, organization="acme")
    assert "b1" not in patience.closed
    with pytest.raises(BucketClosed) as caught:
        patience.failed(DENIED, "b1")
    assert (caught.value.name, caught.value.cure) == (DENIED.name, DENIED.cure)
    assert patience.closed == {"b1": DENIED}
    assert "acme" not in patience.closed


def test_what_is_carried_in_a_bucket_begins_its_row_anew() -> None:
    patience = Case(parted=True).patience
    for _ in range(3 * REFUSALS_IN_A_ROW):
        patience.failed(DENIED, "b1")
        patience.run(lambda: "fine", is_request=False, organization="b1")


@pytest.mark.parametrize(
    ("error", "parted", "stop"),
    [
        (BucketFull("target-full", "No room."), True, BucketClosed),
        (BucketFull("target-full", "No room."), False, MustStop),
        (StoreFull("target-full", "No room."), True, MustStop),
    ],
)
def test_a_quota_of_one_bucket_closes_it_at_once_and_a_full_server_ends_the_run(
    error: StoreFull, parted: bool, stop: type[MigratorError]
) -> None:
    with pytest.raises(stop):
        Case(parted=parted).patience.failed(error, "b1")


def test_a_broken_medium_is_the_same_for_all_organizations() -> None:
    patience = Case(parted=True).patience
    for _ in range(REFUSALS_IN_A_ROW - 1):
        patience.failed(TargetBroken("target-broken", "It fails."), "b1")
    with pytest.raises(MustStop):
        patience.failed(TargetBroken("target-broken", "It fails."), "b1")


@pytest.mark.row(34, 47)
def test_when_the_server_comes_back_all_go_on() -> None:
    """While nothing succeeds one request probes; all the others must get their turn in the end."""
    patience = RetryPolicy(seconds=60, at_first=60)
    is_back, answers = threading.Event(), []
    tries, lock = [0], threading.Lock()

    def attempt() -> str:
        with lock:
            tries[0] += 1
            if tries[0] == 12:
                is_back.set()
        if not is_back.is_set():
            raise WENT
        return "done"

    threads = [threading.Thread(target=lambda: answers.append(patience.run(attempt))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert answers == ["done"] * 6
