"""The short form of `scripts/soak`: what its thousand kills show in hours, eight show in some seconds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.soak.__main__ import print_figures
from tests.soak.kills import Plan, soak
from tests.soak.stage import stage

SEED = int(os.environ.get("MIGRATOR_SOAK_SEED", "4"))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_kills_lose_nothing_and_leave_nothing(kills: int, tmp_path: Path) -> None:
    with stage("weed", at=tmp_path) as here:
        figures = soak(here, Plan(kills=kills, seed=SEED, small=90, large=1, kills_a_leg=4))
    print_figures(figures, as_json=False)
    assert figures.total_kills >= kills
    assert figures.wrong == []


@pytest.mark.timeout(300)
def test_kills_in_a_storm_of_faults(tmp_path: Path) -> None:
    """The short form of a day: one request in twenty goes wrong.

    Not on moto: it keeps a body that was damaged on the way, and a run that is killed before it hears of that leaves what is a conflict
    to the next one. Servers that check Content-MD5 never have it.
    """
    with stage("weed", at=tmp_path) as here:
        figures = soak(here, Plan(kills=4, seed=SEED, small=90, large=1, faults=0.05, kills_a_leg=2))
    print_figures(figures, as_json=False)
    assert figures.faults
    assert figures.wrong == []
