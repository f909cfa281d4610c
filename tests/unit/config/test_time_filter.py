"""Dates, times and durations of --newer-than and --older-than."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.config.time_filter import Ages, in_utc, moment_of
from migrator.core.errors import SettingsError

NOW = 1_800_000_000.0
DAY = 86_400


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90d", NOW - 90 * DAY),
        ("12h", NOW - 12 * 3600),
        ("30m", NOW - 30 * 60),
        ("2w", NOW - 14 * DAY),
        ("45s", NOW - 45),
        ("0d", NOW),
        ("1970-01-02", DAY),
        ("1970-01-02T00:00", DAY),
        ("1970-01-02 00:00:30", DAY + 30),
        ("1970-01-02T00:00:30.5", DAY + 30.5),
        ("1970-01-02T00:00Z", DAY),
        ("1970-01-02T02:00+02:00", DAY),
        ("1970-01-02T02:00 +0200", DAY),
        ("1970-01-01T19:00-05:00", DAY),
        (" 1970-01-02 ", DAY),
        ("1969-12-31", -DAY),
    ],
)
def test_moments(text: str, moment: float) -> None:
    assert moment_of("--newer-than", text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "90",
        "90 days",
        "-3d",
        "1.5d",
        "90D",
        "12345678d",
        "2026-13-01",
        "2026-02-30",
        "2026-01-01T25:00",
        "2026-01-01T12:00+99:00",
        "2026-W01-1",
        "20260101",
        "2026-01-01T",
        "١d",
        "0000-01-01",
    ],
)
def test_what_is_no_moment_is_refused_with_the_option_and_the_forms(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        moment_of("--older-than", text, NOW)
    assert raised.value.name == "age-unreadable"
    assert "--older-than" in raised.value.what
    assert "90d" in raised.value.cure
    assert raised.value.exit_status == 2


@pytest.mark.parametrize(
    ("newer", "older"), [("30d", "90d"), ("2026-02-01", "2026-01-01"), ("2026-01-01", "2026-01-01")]
)
def test_an_interval_with_nothing_in_it_is_refused(newer: str, older: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Ages.parse(newer, older, now=NOW)
    assert raised.value.name == "ages-empty"


def test_nothing_asked_is_false_and_admits_everything() -> None:
    nothing = Ages.parse(None, None, now=NOW)
    assert not nothing
    assert nothing == Ages()
    assert nothing.admits(-1e9)
    assert nothing.admits(NOW)
    assert nothing.in_words() == ""


def test_bounds() -> None:
    ages = Ages(newer_than=100.0, older_than=200.0)
    assert ages
    assert [ages.admits(moment) for moment in (99.9, 100.0, 199.9, 200.0)] == [False, True, True, False]
    assert ages.in_words() == "at or after 1970-01-01 00:01:40 UTC and before 1970-01-01 00:03:20 UTC"
    assert pickle.loads(pickle.dumps(ages)) == ages


@given(moment=st.floats(0, 4e9), mark=st.floats(0, 4e9))
def test_one_moment_parts_all_that_has_a_date_in_two(moment: float, mark: float) -> None:
    assert Ages(newer_than=mark).admits(moment) != Ages(older_than=mark).admits(moment)


def test_moments_that_no_calendar_reaches_have_words_too() -> None:
    long_ago = moment_of("--newer-than", "9999999w", NOW)
    assert Ages(newer_than=long_ago).admits(0.0)
    assert "1970" in in_utc(long_ago)
