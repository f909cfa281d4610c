"""The page on scale says what its model computes."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "scripts" / "scale-model"
SCALE = runpy.run_path(str(MODEL))["Scale"]


def test_the_page_has_the_model_s_table() -> None:
    told = subprocess.run([MODEL], capture_output=True, text=True, check=True).stdout.strip()
    assert told in (ROOT / "docs" / "scale.md").read_text()


@pytest.mark.parametrize("files", [1e6, 1e7, 1e8])
def test_between_buckets_more_workers_are_never_slower(files: float) -> None:
    rates = [SCALE(workers, files, False).rate for workers in (1, 10, 100)]
    assert rates == sorted(rates)


def test_the_bottleneck_is_what_allows_least() -> None:
    scale = SCALE(10, 1e7, True)
    assert scale.limits[scale.bottleneck] == scale.rate == min(scale.limits.values())
