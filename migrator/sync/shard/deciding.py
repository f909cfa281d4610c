"""Pairs → what is done about them: the second of a pass's three generators. Pure: no file, clock or network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from migrator.core.cancellation import Flag
from migrator.core.entities import Entry, Pair
from migrator.core.notices import Denial
from migrator.core.outcomes import Action, Outcome, Result, Step
from migrator.sync.action_tables import Rules
from migrator.sync.compare import verdict_of

DIFFERENT_SIZE = "the target holds another size under this name"
NOT_AT_TARGET = "it is not at the target"
NO_VALID_NAME = "the organization has no valid bucket name at the target"
_BY_LISTINGS = {
    Action.VOUCH: (Outcome.PROVEN, ""),
    Action.MISS: (Outcome.MISSING, NOT_AT_TARGET),
    Action.REFUSE: (Outcome.REFUSED, NO_VALID_NAME),
}
"""What needs no sink."""


class Known(Enum):
    """What an earlier run tells of a raw file: nothing; that it is at the target, and neither end changed; that an end changed."""

    NOTHING = "nothing"
    UNCHANGED = "unchanged"
    CHANGED = "changed"


class Extra(NamedTuple):
    """A raw file that only the target has."""

    entry: Entry


def decide(
    pairs: Iterable[tuple[Pair, Known]],
    rules: Rules,
    *,
    own_version: Callable[[Pair], str | None],
    stopping: Flag,
    denied: Denial | None = None,
) -> Iterator[Step | Result | Extra]:
    """Yield one decision for each pair, in their order.

    A `Step` is for the sink. A `Result` is what the listings alone decide: pending once the run stops, and failed for all that is
    `denied`. `own_version` tells the version of a copy that this program made and may replace.
    """
    for pair, known in pairs:
        _, source, target = pair
        if source is None:
            if target is not None:
                yield Extra(target)
        elif known is Known.UNCHANGED and target is not None:
            yield Result(source, Outcome.PRESENT, version=target.version)
        elif stopping.is_set():
            yield Result(source, Outcome.PENDING)
        elif denied is not None:
            yield Result(source, Outcome.FAILED, denied.reason, code=denied.name)
        elif (action := rules[verdict_of(pair)]) in _BY_LISTINGS:
            yield Result(source, *_BY_LISTINGS[action])
        elif target is None:
            yield Step(action, source, None)  # nothing is there that could be replaced
        else:
            yield _decided_on_both(action, source, target, known, own_version(pair))


def _decided_on_both(action: Action, source: Entry, target: Entry, known: Known, own: str | None) -> Step | Result:
    if action is Action.ACCEPT:
        if own is None and known is Known.NOTHING:
            return Result(source, Outcome.PRESENT, version=target.version)
        action = Action.COMPARE  # it may have changed since it was copied: its size alone does not tell
    step = Step(action, source, target, own)
    if action is Action.DIFFER and not step.may_replace:
        return Result(source, Outcome.CONFLICT, different_size(source, target))
    return step


def different_size(source: Entry, target: Entry | None) -> str:
    """The reason of a conflict of sizes; with both, where the target's is known."""
    if target is None:
        return DIFFERENT_SIZE
    return f"{DIFFERENT_SIZE} ({target.size:,} bytes, {source.size:,} at the source)"
