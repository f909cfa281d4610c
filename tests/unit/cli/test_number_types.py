"""What options take for a number, and what they say of anything else."""

from __future__ import annotations

import pytest
from click import BadParameter
from hypothesis import given
from hypothesis import strategies as st

from migrator.cli.number_types import Number, Seconds


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_seconds_are_any_finite_number(value: float) -> None:
    assert Seconds().convert(repr(value), None, None) == value


@pytest.mark.parametrize("text", ["nan", "inf", "1e400", "Infinity", "x", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    """`--settle nan` left every raw file for the next run, for ever."""
    with pytest.raises(BadParameter, match="is not a valid number of seconds"):
        Seconds().convert(text, None, None)


def test_a_number_that_is_none_is_told_in_plain_words() -> None:
    with pytest.raises(BadParameter, match="'x' is not a valid whole number"):
        Number(1, 5).convert("x", None, None)
