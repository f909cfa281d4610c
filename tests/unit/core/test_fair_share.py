"""The problems that a report lists: the gravest first, and no kind crowded out by thousands of another."""

from __future__ import annotations

import pytest

from migrator.core.notices import Problem, fair_share


@pytest.mark.parametrize(
    ("counts", "most", "listed"),
    [
        ((3, 2), 10, (3, 2)),
        ((30, 2), 10, (8, 2)),
        ((2, 30), 10, (2, 8)),
        ((30, 30, 1), 10, (6, 3, 1)),
        ((0, 30), 10, (0, 10)),
        ((), 10, ()),
    ],
)
def test_each_kind_has_its_share_and_the_gravest_the_rest(
    counts: tuple[int, ...], most: int, listed: tuple[int, ...]
) -> None:
    kinds = [[Problem(str(kind), "org", f"/{number}", "why") for number in range(n)] for kind, n in enumerate(counts)]
    found = fair_share(kinds, most)
    assert tuple(sum(one.kind == str(kind) for one in found) for kind in range(len(counts))) == listed
    assert [one.kind for one in found] == sorted(one.kind for one in found)
