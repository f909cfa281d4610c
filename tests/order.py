"""The order of tests among workers: what takes long first, so that the last minutes are not of one test each on one core.

xdist's `worksteal` gives each worker as many tests as the others, one run of the list after the other, and two tests of a worker's own
cannot be taken from it. So long tests at the end of a run of the list have the whole machine wait for them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

_SECONDS = {"browser": 4.5, "faults": 4.0, "e2e": 2.5, "dialects": 1.0, "contract": 0.4}
"""By folder, as measured with five workers on two cores."""
_SECONDS_OF_A_LAW = 1.0
_PIECE = 12
_SHORT = ("test_readme.py",)


def long_ones_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """The same tests, as one run for each worker: pieces of modules of long tests, dealt by what they may take, and short ones behind."""
    lots: list[list[pytest.Item]] = [[] for _ in range(workers)]
    load = [0.0] * workers
    modules: dict[str, list[pytest.Item]] = {}
    for item in items:
        if _seconds(item):
            modules.setdefault(str(item.path), []).append(item)
    pieces = [module[begin : begin + _PIECE] for module in modules.values() for begin in range(0, len(module), _PIECE)]
    for piece in sorted(pieces, key=_total, reverse=True):
        least = load.index(min(load))
        lots[least] += piece
        load[least] += _total(piece)
    short = iter([item for item in items if not _seconds(item)])
    ordered: list[pytest.Item] = []
    left = len(items)
    for number, lot in enumerate(lots):  # xdist gives each what is left, divided by the workers that are left
        size = max(left // (workers - number), len(lot))
        ordered += lot
        ordered += [item for _, item in zip(range(size - len(lot)), short, strict=False)]
        left = len(items) - len(ordered)
    return [*ordered, *short]


def workers() -> int:
    """How many workers xdist has; 0 where this is none."""
    return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))


def _total(items: Sequence[pytest.Item]) -> float:
    return sum(map(_seconds, items))


def _seconds(item: pytest.Item) -> float:
    """About how long it takes; 0 for what is over at once."""
    if item.path.name in _SHORT:
        return 0.0
    if item.get_closest_marker("hypothesis"):
        return _SECONDS_OF_A_LAW
    return next((seconds for folder, seconds in _SECONDS.items() if folder in item.path.parts), 0.0)
