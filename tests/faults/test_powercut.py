"""The short form of `scripts/powercut`: what the medium holds at five instants of a migration, and that the trial would see losses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.soak import images
from tests.soak.powercut import FEW, Figures, cut

SEED = 7


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    if why := images.why_not(tmp_path):
        pytest.skip(f"no power can be cut here: {why}")
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.mark.row(3)
def test_whatever_the_ledger_calls_done_survives_a_power_cut(place: Path) -> None:
    figures = Figures(SEED)
    cut(place, "together", images.kinds()[0], 5, figures, counts=FEW)
    assert sum(figures.instants.values()) == 5
    assert figures.after_exit
    assert figures.called_done
    assert figures.faultless, [figures.lost, figures.torn, figures.others]


@pytest.mark.row(3, 4, 5)
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", images.KINDS)
@pytest.mark.parametrize("way", ["apart", "from-s3", "to-s3"])
def test_on_other_media_and_other_ways(way: str, kind: str, place: Path) -> None:
    if kind not in images.kinds():
        pytest.skip(f"{kind} is not at hand here")
    figures = Figures(SEED)
    cut(place, way, kind, 5, figures)
    assert figures.faultless, [figures.lost, figures.torn, figures.others]


def test_without_syncing_the_same_trial_finds_losses(place: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace, which takes syncing away, is not installed")
    figures = Figures(SEED)
    cut(place, "together", images.kinds()[0], 1, figures, control=True, counts=FEW)
    assert figures.lost or figures.torn
