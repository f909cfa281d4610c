"""Pairs in, decisions out: one row a case, with the source on the left, the target on the right, and what an earlier run tells."""

from __future__ import annotations

import pytest

from migrator.core.cancellation import StopFlag
from migrator.core.entities import Entry, Pair
from migrator.core.notices import Denial
from migrator.core.outcomes import Action, Outcome, Result, Step
from migrator.sync.action_tables import BY_CONTENT, BY_SIZE, PROOF, REFUSE, Rules
from migrator.sync.shard.deciding import Extra, Known, decide
from tests.backends import raw_id

NOTHING, UNCHANGED, CHANGED = Known.NOTHING, Known.UNCHANGED, Known.CHANGED
ID = raw_id("a")


def decided(
    left: int | None,
    right: int | None,
    known: Known = NOTHING,
    rules: Rules = BY_CONTENT,
    own: str | None = None,
    *,
    stops: bool = False,
    denied: Denial | None = None,
) -> str:
    """In a word: the step's action, the outcome, or extra. Sizes are those at both ends."""
    source = Entry(ID, left) if left is not None else None
    target = Entry(ID, right, "etag") if right is not None else None
    flag = StopFlag()
    if stops:
        flag.set()
    found = decide(
        [(Pair(ID, source, target), known)], rules, own_version=lambda pair: own, stopping=flag, denied=denied
    )
    (decision,) = found
    if isinstance(decision, Step):
        assert (decision.source, decision.target, decision.own_version) == (source, target, own)
        return decision.action.name
    if isinstance(decision, Extra):
        assert decision.entry == target
        return "extra"
    assert isinstance(decision, Result)
    assert decision.entry == source
    return decision.outcome.value


@pytest.mark.parametrize(
    ("left", "right", "known", "rules", "own", "expected"),
    [
        (3, None, NOTHING, BY_CONTENT, None, Action.COPY.name),
        (3, 3, NOTHING, BY_CONTENT, None, Action.COMPARE.name),
        (3, 3, NOTHING, BY_SIZE, None, "present"),
        (3, 3, CHANGED, BY_SIZE, None, Action.COMPARE.name),
        (3, 3, NOTHING, BY_SIZE, "etag", Action.COMPARE.name),
        (3, 3, UNCHANGED, BY_CONTENT, None, "present"),
        (3, 4, NOTHING, BY_CONTENT, None, "conflict"),
        (3, 4, NOTHING, BY_CONTENT, "another", "conflict"),
        (3, 4, NOTHING, BY_CONTENT, "etag", Action.DIFFER.name),
        (None, 3, NOTHING, BY_CONTENT, None, "extra"),
        (3, None, NOTHING, PROOF, None, "missing"),
        (3, None, NOTHING, REFUSE, None, "refused"),
    ],
)
def test_one_decision_for_each_pair(
    left: int | None, right: int | None, known: Known, rules: Rules, own: str | None, expected: str
) -> None:
    assert decided(left, right, known, rules, own) == expected


def test_a_run_that_stops_leaves_pending_what_it_has_not_decided() -> None:
    assert decided(3, None, stops=True) == "pending"
    assert decided(3, 3, UNCHANGED, stops=True) == "present"
    assert decided(None, 3, stops=True) == "extra"


def test_a_bucket_that_refuses_fails_each_raw_file_with_its_reason() -> None:
    assert decided(3, None, denied=Denial("denied", "no rights")) == Outcome.FAILED.value


def test_decisions_come_in_the_order_of_the_pairs_and_one_at_a_time() -> None:
    pairs = iter([(Pair(one, Entry(one, 1), None), NOTHING) for one in (raw_id("a"), raw_id("b"))])
    found = decide(pairs, BY_CONTENT, own_version=lambda pair: None, stopping=StopFlag())
    assert isinstance(step := next(found), Step)
    assert step.source.raw_id == raw_id("a")
    assert next(pairs)[0].raw_id == raw_id("b"), "nothing is read ahead"
