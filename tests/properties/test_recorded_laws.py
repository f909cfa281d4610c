"""What is computed from a row is what Bytes computed when it recorded it, to the last digit."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from migrator.checks.audit.database_row import Recorded, RecordedDigest, timestamp_text
from migrator.checks.audit.exported_rows import microseconds_of
from migrator.checks.sample import AuditSample
from migrator.core.entities import RawId
from tests.postgres import secure_hash_of

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
ZONES = st.one_of(
    st.sampled_from(
        [timezone.utc, ZoneInfo("Europe/Amsterdam"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/St_Johns")]
    ),
    st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
TIMES = st.datetimes(datetime(1900, 1, 2), datetime(9998, 12, 30), timezones=ZONES)
WHOLE = TIMES.map(lambda time: time.replace(microsecond=0))


def in_microseconds(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


def as_postgres_writes_it(time: datetime) -> str:
    """ISO style: no trailing zeros after the point, an offset in hours, with minutes and seconds where there are any."""
    fraction = f".{time.microsecond:06d}".rstrip("0") if time.microsecond else ""
    offset = time.utcoffset() or timedelta()
    sign, seconds = ("-" if offset < timedelta() else "+"), round(abs(offset).total_seconds())
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    shown = (
        f"{sign}{hours:02d}"
        + (f":{minutes:02d}" if minutes or seconds else "")
        + (f":{seconds:02d}" if seconds else "")
    )
    return f"{time:%Y-%m-%d %H:%M:%S}".rjust(19, "0") + fraction + shown


@given(TIMES | WHOLE)
@example(datetime(2026, 1, 2, 3, 4, 5, 100_000, timezone.utc))
@example(datetime(2026, 1, 2, 3, 4, 5, 0, timezone.utc))
def test_the_time_part_is_pythons_own(time: datetime) -> None:
    assert timestamp_text(in_microseconds(time)) == str(time.timestamp())


@given(TIMES | WHOLE)
def test_an_export_keeps_every_microsecond(time: datetime) -> None:
    assert microseconds_of(as_postgres_writes_it(time)) == in_microseconds(time)


@given(st.datetimes(datetime(1900, 1, 1), datetime(9998, 1, 1)))
def test_a_time_without_a_zone_is_utc(time: datetime) -> None:
    assert microseconds_of(str(time)) == in_microseconds(time.replace(tzinfo=timezone.utc))


@given(st.lists(st.binary(max_size=100)), TIMES | WHOLE, st.sampled_from(["sha512", "sha224"]), st.binary(min_size=1))
def test_a_content_in_pieces_matches_what_bytes_recorded_and_nothing_else_does(
    pieces: list[bytes], time: datetime, algorithm: str, more: bytes
) -> None:
    content = b"".join(pieces)
    row = Recorded("alpha", RawId("0" * 36), secure_hash_of(content, time, algorithm), in_microseconds(time))
    assert row.is_provable
    digest, other, later = (
        RecordedDigest(row),
        RecordedDigest(row),
        RecordedDigest(row._replace(ended_us=in_microseconds(time) + 9)),
    )
    for piece in pieces:
        for one in (digest, other, later):
            one.update(piece)
    other.update(more)
    assert digest.matches()
    assert not other.matches()
    assert not later.matches() or abs(in_microseconds(time)) > 2**53  # where a float tells microseconds no more


@given(st.sets(st.integers(0, 2000)), st.integers(1, 30), st.integers(0, 9), st.randoms(use_true_random=False))
def test_a_sample_depends_on_rows_and_seed_alone(numbers: set[int], size: int, seed: int, random: object) -> None:
    rows = [Recorded(f"o{number % 3}", RawId(f"{number:036d}")) for number in sorted(numbers)]
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    samples = []
    for order in (rows, shuffled):
        sample = AuditSample(size, seed)
        for row in order:
            sample.offer(row)
        samples.append(sample.rows())
    assert samples[0] == samples[1]
    assert len(samples[0]) == min(size, len(rows))
    assert set(samples[0]) <= set(rows)
