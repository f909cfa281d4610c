"""What the fuzzer has found so far, each input once; `scripts/fuzz` goes on from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPORA = Path(__file__).parents[2] / "fuzz" / "corpora"


def test_each_target_has_a_corpus() -> None:
    assert {folder.name for folder in CORPORA.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_that_was_kept_is_at_fault(name: str, tmp_path: Path) -> None:
    inputs = sorted((CORPORA / name).iterdir())
    assert inputs
    for one in inputs:
        TARGETS[name](one.read_bytes(), tmp_path)
