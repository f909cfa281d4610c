"""Units that are given out twice and counted once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from migrator.core.entities import Entry, ProvenShard, Provisional, Shard, UnfinishedUpload
from migrator.core.errors import MustStop
from migrator.core.notices import Problem
from migrator.core.outcomes import Outcome
from migrator.core.tally import Tally
from migrator.engines.attempts import Order, Orders
from migrator.sync.messages import (
    Assignment,
    Event,
    ProgressEvent,
    Survey,
    Surveyed,
    UnitEnded,
    UploadBegan,
    UploadEnded,
)
from migrator.sync.totals import Totals
from tests.backends import raw_id

SHARD = Assignment(shard=Shard("acme", "a"), target_is_empty=False)


def upload(name: str, upload_id: str = "id-1", organization: str = "acme") -> UnfinishedUpload:
    return UnfinishedUpload(organization, raw_id(name), "bucket", f"key-{name}", upload_id, 8, "stamp", 0.0)


def told(copied: int = 1, problems: int = 0) -> ProgressEvent:
    made = ProgressEvent(organization="acme", unit=7)
    for _ in range(copied):
        made.tally[Outcome.COPIED].add(10)
    made.problems += [Problem("failed", "acme", "where", "why")] * problems
    return made


def begun(orders: Orders, attempt: str = "one") -> Order:
    order = orders.give(SHARD)
    order.delivery = 1
    admitted, undone = orders.admit(order.number, 1, attempt, "here")
    assert admitted is order
    assert undone == []
    return order


def sum_of(events: list[Event]) -> Totals:
    totals = Totals()
    for event in events:
        if isinstance(event, ProgressEvent):
            totals.add(event)
    return totals


def test_what_is_told_is_passed_on_at_once_but_problems_wait_for_the_end() -> None:
    orders = Orders()
    begun(orders)
    [passed] = orders.take("one", told(2, problems=1))
    assert isinstance(passed, ProgressEvent)
    assert passed.tally[Outcome.COPIED].files == 2
    assert passed.problems == []
    last, ended = orders.take("one", UnitEnded())
    assert isinstance(last, ProgressEvent)
    assert len(last.problems) == 1
    assert ended == UnitEnded()
    assert not orders.open


def test_a_survey_answers_once_though_it_was_asked_twice() -> None:
    orders = Orders()
    order = orders.give(Survey("acme"))
    order.delivery = 1
    answer = Surveyed(organization="acme", length=1, target_is_empty=True)
    orders.admit(order.number, 1, "one", "here")
    assert orders.take("one", answer) == []
    orders.admit(order.number, 1, "two", "there")
    assert orders.take("one", answer) == orders.take("one", UnitEnded()) == []
    assert orders.take("two", answer) == []
    assert orders.take("two", UnitEnded()) == [answer, UnitEnded()]


def test_a_new_attempt_takes_back_what_the_lost_one_told() -> None:
    orders = Orders()
    order = begun(orders)
    passed = orders.take("one", told(3, problems=2))
    _, undone = orders.admit(order.number, 1, "two", "there")
    assert sum_of([*passed, *undone]).overall() == Tally()
    assert orders.take("one", told(5)) == []
    passed += [*undone, *orders.take("two", told(4, problems=1)), *orders.take("two", UnitEnded())]
    totals = sum_of(passed)
    assert totals.overall()[Outcome.COPIED].as_dict() == {"files": 4, "bytes": 40}
    assert totals.problems_total == 1


def test_what_a_lost_attempt_copied_provisionally_is_a_fact() -> None:
    orders = Orders()
    order = begun(orders)
    orders.admit(order.number, 1, "two", "there")
    late = told(1)
    copy = Provisional("acme", raw_id("a1"), 1, 2, "mark")
    late.provisional.append(copy)
    [passed] = orders.take("one", late)
    assert isinstance(passed, ProgressEvent)
    assert passed.provisional == [copy]
    assert passed.tally == Tally()


def test_who_comes_late_is_not_admitted() -> None:
    orders = Orders()
    order = begun(orders)
    order.delivery = 2  # given out anew
    assert orders.admit(order.number, 1, "late", "here") == (None, [])
    assert orders.admit(order.number, 2, "right", "here")[0] is order
    orders.take("right", UnitEnded())
    assert orders.admit(order.number, 2, "later still", "here") == (None, [])


def test_uploads_are_passed_on_whoever_tells_them_and_known_to_the_next_attempt() -> None:
    orders = Orders()
    before = upload("a0")
    order = orders.give(Assignment(shard=Shard("acme", "a"), target_is_empty=False, uploads=(before,)))
    order.delivery = 1
    orders.admit(order.number, 1, "one", "here")
    event = UploadBegan(upload("a1"), 0, 1)
    assert orders.take("", event) == [event]
    for other in (upload("b1"), upload("a1", organization="other")):
        orders.take("", UploadBegan(other, 0, 2))
    assert set(order.uploads.values()) == {before, upload("a1")}
    ended = UploadEnded(before)
    assert orders.take("", ended) == [ended]
    assert tuple(order.uploads.values()) == (upload("a1"),)


def test_an_end_with_an_error_ends_the_unit_too() -> None:
    orders = Orders()
    begun(orders)
    error = MustStop("name", "what")
    assert orders.take("one", UnitEnded(error, 7)) == [UnitEnded(error)]
    assert orders.take("one", UnitEnded(error)) == []


@given(st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=5))
def test_only_the_attempt_that_ends_counts(attempts: list[list[int]]) -> None:
    """However many attempts told however much: the sum is what the last one told, and never lower than nothing."""
    orders, passed = Orders(), list[Event]()
    order = orders.give(SHARD)
    order.delivery = 1
    for number, copied in enumerate(attempts):
        passed += orders.admit(order.number, 1, str(number), "here")[1]
        for count in copied:
            passed += orders.take(str(number), told(count, problems=1))
            assert sum_of(passed).overall()[Outcome.COPIED].files >= 0
    passed += orders.take(str(len(attempts) - 1), UnitEnded())
    totals = sum_of(passed)
    assert totals.overall()[Outcome.COPIED].files == sum(attempts[-1])
    assert totals.problems_total == len(attempts[-1])
    assert [event for event in passed if isinstance(event, UnitEnded)] == [UnitEnded()]


def test_what_could_be_written_down_twice_waits_for_the_end() -> None:
    """Lists, shapes and a verification's proofs of an attempt that is lost never were; what it copied is a fact."""
    orders = Orders()
    order = begun(orders)
    shard, entry = ProvenShard("acme", "a", "key", "state", 1.0, ""), Entry(raw_id("a1"), 10)
    passed = list[Event]()
    for attempt in ("one", "two"):
        passed += orders.admit(order.number, 1, attempt, "here")[1]
        made = told(1)
        made.shape.add(10, 0, moved=True)
        made.extra.append(Problem("extra", "acme", "where", "why"))
        made.proven.append(shard)
        made.relied_upon.append(shard)
        made.sheets["a"] = attempt
        made.copied.append(entry)
        passed += orders.take(attempt, made)
    passed += orders.take("two", UnitEnded())
    all_told = [event for event in passed if isinstance(event, ProgressEvent)]
    assert sum_of(passed).shape.sizes == {4: 1}
    for name in ("extra", "proven", "relied_upon"):
        assert sum(len(getattr(each, name)) for each in all_told) == 1
    assert [each.sheets for each in all_told if each.sheets] == [{"a": "two"}]
    assert [entry for each in all_told for entry in each.copied] == [entry, entry]
