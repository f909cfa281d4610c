"""Progress and log lines: rates of late, time left that settles, events, and lines that stay short."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from migrator.cli import logs
from migrator.cli.logs import Log, log_to
from migrator.cli.progress import FIRST_LINE_SECONDS, Events, Lines, Progress
from migrator.core.errors import CannotStart
from migrator.core.notices import Problem
from migrator.core.tally import Count
from migrator.stores.s3.errors.mapping import translate
from migrator.sync.messages import ProgressEvent
from migrator.sync.source_counter import SourceCounter
from tests.unit.reports.samples import tally_of


@dataclass
class Ahead:
    """As much of `SourceCounter` as progress looks at."""

    total: Count = field(default_factory=Count)
    is_final: bool = True


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def told(files: int, size: int = 1_000, organization: str = "acme") -> ProgressEvent:
    return ProgressEvent(organization=organization, tally=tally_of(copied=(files, files * size)))


def progress_at(ahead: Ahead | None, clock: Clock) -> Progress:
    return Progress(cast("SourceCounter | None", ahead), clock)


def go(progress: Progress, clock: Clock, seconds: int, files_per_second: int, size: int = 1_000) -> None:
    for _ in range(seconds):
        clock.now += 1
        progress.add(told(files_per_second, size))
        progress.sample()


def test_the_time_left_is_right_within_a_minute_of_any_change_of_pace() -> None:
    """First a million that need no copying, then a slow stretch: an average since the start would be wrong for hours."""
    clock, ahead = Clock(), Ahead(Count(1_100_000, 1_100_000_000))
    progress = progress_at(ahead, clock)
    go(progress, clock, 10, 100_000)
    go(progress, clock, 60, 100)
    assert progress.seconds_left == pytest.approx((1_100_000 - 1_006_000) / 100, rel=0.05)


def test_bytes_tell_the_time_left_where_they_take_longer() -> None:
    clock, ahead = Clock(), Ahead(Count(1_000, 10_000_000))
    progress = progress_at(ahead, clock)
    go(progress, clock, 9, 100, 1_000)
    assert progress.seconds_left == pytest.approx((10_000_000 - 900_000) / 100_000)


def test_a_total_that_is_still_counted_has_a_sign() -> None:
    clock, ahead = Clock(), Ahead(Count(1_500, 2_000_000), is_final=False)
    progress = progress_at(ahead, clock)
    go(progress, clock, 5, 100)
    assert str(progress) == "500 of ≥1,500 files, 500 kB of ≥2.0 MB · 15 s left · 100 files/s, 100 kB/s · acme"


def test_without_a_total_there_is_no_time_left() -> None:
    clock = Clock()
    progress = progress_at(None, clock)
    go(progress, clock, 2, 10)
    assert progress.seconds_left is None
    assert str(progress) == "20 files, 20.0 kB · 10 files/s, 10.0 kB/s · acme"


def test_bytes_move_while_one_large_file_does() -> None:
    clock, ahead = Clock(), Ahead(Count(2, 1_000_000_000))
    progress = progress_at(ahead, clock)
    for _ in range(10):
        clock.now += 1
        progress.add(ProgressEvent(organization="acme", in_flight=10_000_000))
        progress.sample()
    assert str(progress) == "0 of 2 files, 100 MB of 1.0 GB · 90 s left · 0 files/s, 10.0 MB/s · acme"
    assert progress.share == 0.1
    progress.add(ProgressEvent(organization="acme", in_flight=-100_000_000, tally=tally_of(copied=(1, 500_000_000))))
    assert (progress.bytes, progress.in_flight) == (500_000_000, 0)


def test_nothing_is_a_share_of_what_is_still_counted() -> None:
    progress = progress_at(Ahead(Count(10, 10_000), is_final=False), Clock())
    progress.add(told(10))
    assert progress.share is None
    progress = progress_at(Ahead(Count(1_000, 1_000_000)), Clock())
    progress.add(told(999))
    assert int(100 * (progress.share or 0)) == 99


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (120, "500 of 1,500 files, 500 kB of 2.0 MB · 15 s left · 100 files/s, 100 kB/s · acme"),
        (76, "500 of 1,500 files, 500 kB of 2.0 MB · 15 s left · 100 files/s, 100 kB/s"),
        (58, "500 of 1,500 files · 15 s left · 100 files/s, 100 kB/s"),
        (44, "500 of 1,500 files · 15 s left · 100 kB/s"),
    ],
)
def test_rate_and_time_left_fit_where_it_is_narrow(width: int, expected: str) -> None:
    clock = Clock()
    progress = progress_at(Ahead(Count(1_500, 2_000_000)), clock)
    go(progress, clock, 5, 100)
    assert progress.fitted(width) == expected


def test_hostile_organizations_are_escaped_and_cut() -> None:
    progress = progress_at(None, Clock())
    progress.add(told(1, organization="\x1b[31m" + "x" * 200))
    assert "\x1b" not in str(progress)
    assert len(str(progress)) < 120


def test_the_first_line_comes_after_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines(None, clock)
    lines.tick()
    assert capsys.readouterr().err == ""
    clock.now += FIRST_LINE_SECONDS
    lines.on_event(told(3))
    lines.tick()
    lines.tick()
    assert capsys.readouterr().err == "after 1.0 s: 3 files, 3.0 kB · 3 files/s, 3.0 kB/s · acme\n"


def test_events_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    events = Events(cast("SourceCounter", Ahead(Count(10, 10_000))), clock)
    clock.now += 2
    events.on_event(told(4))
    events.tick()
    event = json.loads(capsys.readouterr().err)
    assert event.pop("time")
    assert event == {
        "event": "progress",
        "files": 4,
        "bytes": 4_000,
        "bytes_in_flight": 0,
        "expected": {"files": 10, "bytes": 10_000},
        "counting_is_final": True,
        "files_per_second": 2.0,
        "bytes_per_second": 2_000,
        "seconds_left": 3,
        "organization": "acme",
    }


FAILED = Problem(
    "failed",
    "acme",
    "/data/acme/012/0123abcd-1111-4222-8333-444455556666",
    "The server does not allow this.",
    "0123abcd-1111-4222-8333-444455556666",
    5,
    "s3://raw/acme/0123abcd-1111-4222-8333-444455556666",
    "access-denied",
    "17A1F0E9",
)


def logged(tmp_path: Path, form: str, *problems: Problem) -> list[str]:
    path = tmp_path / "log"
    with log_to({"verbose": False, "log_file": path, "log_format": form}):
        Log().on_event(ProgressEvent(organization="acme", problems=list(problems)))
    return path.read_text().splitlines()


def test_a_failure_is_one_line_with_all_that_one_asks_for(tmp_path: Path) -> None:
    [line] = logged(tmp_path, "text", FAILED)
    assert line.partition("WARNING ")[2] == (
        "failed acme/0123abcd-1111-4222-8333-444455556666: /data/acme/012/0123abcd-1111-4222-8333-444455556666 → "
        "s3://raw/acme/0123abcd-1111-4222-8333-444455556666: The server does not allow this. [access-denied] (request 17A1F0E9); "
        "next: rerun to try it again"
    )


def test_the_same_as_an_event(tmp_path: Path) -> None:
    [line] = logged(tmp_path, "json", FAILED)
    event: dict[str, Any] = json.loads(line)
    assert (event["bucket"], event["key"]) == ("raw", "acme/0123abcd-1111-4222-8333-444455556666")
    assert (event["event"], event["level"], event["code"], event["request_id"]) == (
        "problem",
        "warning",
        "access-denied",
        "17A1F0E9",
    )
    assert event["next"] == "rerun to try it again"


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_line_is_long_whatever_a_server_answers(tmp_path: Path, form: str) -> None:
    [line] = logged(tmp_path, form, FAILED._replace(reason="x\n" * 100_000, where="/" + "y" * 100_000))
    assert len(line) < 6_000


def test_a_log_file_that_grew_large_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LOG_FILE_BYTES", 2_000)
    lines = logged(tmp_path, "text", *[FAILED] * 50)
    assert len(lines) < 50
    assert sorted(path.name for path in tmp_path.glob("log*")) == ["log", "log.1"]
    assert all(path.stat().st_size <= 2_000 for path in tmp_path.glob("log*"))


def test_a_log_file_that_cannot_be_written(tmp_path: Path) -> None:
    with (
        pytest.raises(CannotStart, match="log-file"),
        log_to({"verbose": False, "log_file": tmp_path / "no" / "log", "log_format": "text"}),
    ):
        logging.getLogger("migrator").info("never")


@pytest.mark.parametrize(
    ("metadata", "known"),
    [
        ({"RequestId": "17A1F0E9"}, "17A1F0E9"),
        ({"HTTPHeaders": {"x-amz-request-id": "tx00-1-2-default"}}, "tx00-1-2-default"),
        ({"RequestId": "\x1b[31m"}, ""),
        ({"RequestId": "x" * 500}, ""),
        ({}, ""),
    ],
)
def test_what_the_server_calls_a_request_comes_with_its_error(metadata: dict[str, Any], known: str) -> None:
    answer: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403, **metadata}}
    assert translate(ClientError(answer, "PutObject"), "s3://raw/acme").request_id == known
