"""Limits as operators write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.config.rate_limits import Limits, Timetable, Window, bandwidth_of, requests_of, seconds_of
from migrator.core.errors import SettingsError

MB = 1_000_000


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20MB/s", 20 * MB),
        ("20 MB/s", 20 * MB),
        ("20mb/s", 20 * MB),
        ("20MBps", 20 * MB),
        ("1.5MB/s", 1.5 * MB),
        ("20MB", 20 * MB),
        ("500kB/s", 500_000),
        ("1GB/s", 1_000 * MB),
        ("1MiB/s", 1 << 20),
        ("64KiB/s", 64 << 10),
        ("100Mbit/s", 12.5 * MB),
        ("50000B/s", 50_000),
        ("unlimited", None),
    ],
)
def test_a_rate(text: str, rate: float | None) -> None:
    assert bandwidth_of(text) == Timetable((), rate)


def test_a_timetable() -> None:
    table = bandwidth_of("08:00-18:00 5MB/s, 50MB/s")
    assert table == Timetable((Window(480, 1080, 5 * MB),), 50 * MB)
    rates = [table.rate_at(minute) for minute in (0, 479, 480, 1079, 1080, 1439)]
    assert rates == [50 * MB, 50 * MB, 5 * MB, 5 * MB, 50 * MB, 50 * MB]


def test_a_window_may_go_past_midnight_and_the_first_that_holds_counts() -> None:
    table = bandwidth_of("22:00-06:00 unlimited, 05:00-09:00 1MB/s")
    assert [table.rate_at(minute) for minute in (1320, 0, 359, 360, 539, 540, 1319)] == [
        None,
        None,
        None,
        MB,
        MB,
        None,
        None,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20",
        "20MB/h",
        "fast",
        "-5MB/s",
        "0MB/s",
        "5MB/s, 6MB/s",
        "25:00-26:00 5MB/s",
        "08:61-09:00 5MB/s",
        "08:00-08:00 5MB/s",
        "08:00 5MB/s",
    ],
)
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        bandwidth_of(text)
    assert caught.value.name == "bandwidth"
    assert "08:00-18:00 5MB/s" in caught.value.cure


@pytest.mark.parametrize(("text", "rate"), [("500/s", 500), ("500", 500), ("0.5/s", 0.5)])
def test_requests(text: str, rate: float) -> None:
    assert requests_of(text) == rate


@pytest.mark.parametrize("text", ["0/s", "many", "500/min", "-1/s"])
def test_what_is_no_number_of_requests(text: str) -> None:
    with pytest.raises(SettingsError, match="max-requests"):
        requests_of(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h", 7_200),
        ("90min", 5_400),
        ("90m", 5_400),
        ("1h30m", 5_400),
        ("1h 30min", 5_400),
        ("45s", 45),
        ("45", 45),
        ("1d", 86_400),
        ("0.5h", 1_800),
    ],
)
def test_a_duration(text: str, seconds: float) -> None:
    assert seconds_of(text, "--max-duration") == seconds


@pytest.mark.parametrize("text", ["", "0", "soon", "2 weeks", "-5s"])
def test_what_is_no_duration_names_its_option(text: str) -> None:
    with pytest.raises(SettingsError, match="--until-idle"):
        seconds_of(text, "--until-idle")


@given(st.integers(1, 64), st.integers(0, 1439))
def test_shares_add_up_to_the_whole(workers: int, minute: int) -> None:
    whole = Limits(bandwidth=bandwidth_of("08:00-18:00 5MB/s, 50MB/s"), requests=500, duration=60)
    share = whole.shared_by(workers)
    assert share.bandwidth is not None
    assert whole.bandwidth is not None
    assert (share.bandwidth.rate_at(minute) or 0) * workers == pytest.approx(whole.bandwidth.rate_at(minute))
    assert (share.requests or 0) * workers == pytest.approx(500)
    assert share.duration == 60, "time is not shared out"
