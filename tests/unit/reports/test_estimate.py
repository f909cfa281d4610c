"""What a migration would cost, said beforehand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.core.tally import Count, Shape
from migrator.reports.estimate import EarlierPace, Measured, Space, Work, estimate_of, typical_seconds

MIB = 1 << 20


def work(files: int, size: int, **more: object) -> Work:
    shape = Shape()
    for _ in range(min(files, 1_000)):
        shape.add(size, 0, moved=True)
    values: dict[str, object] = {
        "missing": {"acme": Count(files, files * size)},
        "discovered": files,
        "shape": shape,
        **more,
    }
    return Work(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_work", "requests"),
    [
        (
            work(500, 100, to_s3=True, buckets_to_create=2),
            {"list": 1, "create_bucket": 2, "put": 500, "multipart": 0, "part": 0},
        ),
        (work(500, 100, from_s3=True), {"list": 1, "get": 500}),
        (work(2, 20 * MIB, to_s3=True), {"list": 1, "create_bucket": 0, "put": 0, "multipart": 4, "part": 6}),
        (work(2, 20 * MIB, from_s3=True), {"list": 1, "get": 6}),
        (work(500, 100), {"list": 0}),
        (
            work(500, 100, from_s3=True, to_s3=True),
            {"list": 2, "create_bucket": 0, "put": 500, "multipart": 0, "part": 0, "get": 500},
        ),
    ],
)
def test_requests_by_kind(given_work: Work, requests: dict[str, int]) -> None:
    assert estimate_of(given_work, Measured()).requests == requests


def test_an_earlier_run_tells_more_than_any_guess() -> None:
    pace = EarlierPace(10.0, "run 20260102-x")
    found = estimate_of(work(1_000, 1_000, to_s3=True), Measured(latency=9.0, earlier=pace))
    typical = 1_000 / 1_000 + 1e6 / 30e6 + 1_000 / 20_000
    assert found.seconds == pytest.approx((0.6 * (0.5 + 10 * typical), 1.6 * (0.5 + 10 * typical)))
    assert "20260102-x" in found.rests_on[0]


def test_many_small_files_say_little_wrong_of_one_large_one() -> None:
    """By the small files' bytes a second alone, the large one would take five minutes and not ten seconds."""
    pace = EarlierPace(2.0 / typical_seconds(Count(2_000, 2_000_000), 2_000), "run x")
    fast, slow = estimate_of(work(1, 300_000_000), Measured(earlier=pace)).seconds
    assert fast / 3 < 10 < slow * 3


@pytest.mark.parametrize(
    ("given_work", "measured", "middle", "spread"),
    [
        (work(30_000, 1), Measured(is_near=True), 0.8 + 10, 2),
        (work(10, 600_000_000), Measured(is_near=True), 0.8 + 30, 2),
        (work(10, 300_000_000), Measured(), 0.8 + 100, 3),
        (work(10, 300_000_000), Measured(busy=2.0), 2 * (0.8 + 100), 3),
        (work(30_000, 1), Measured(busy=3.0, is_near=True), 2.5 * (0.8 + 10), 2),
        (work(9_990, 1, to_s3=True), Measured(latency=0.01, requests_per_second=700), 0.8 + 10_000 / 6_000, 2),
        (work(9_990, 1, to_s3=True), Measured(latency=0.1, requests_per_second=75), 0.8 + 10_000 / 900, 2),
        (work(9_990, 1, to_s3=True), Measured(latency=0.016, requests_per_second=60), 0.8 + 10_000 / 120, 2),
        (work(0, 0, to_s3=True), Measured(latency=0.64), 0.0, 1),
    ],
    ids=[
        "by files",
        "by bytes, here",
        "by bytes, over an unknown line",
        "by bytes, on a busy machine",
        "a busy machine",
        "a server that keeps up",
        "a far server that keeps up",
        "a server that does one after the other",
        "nothing",
    ],
)
def test_a_first_run(given_work: Work, measured: Measured, middle: float, spread: float) -> None:
    found = estimate_of(given_work, measured)
    assert found.seconds == pytest.approx((middle / spread, middle * spread), rel=0.01)
    assert (found.rests_on == ("nothing has to be copied",)) is (not given_work.total.files)


GIB = 1 << 30
FIRST_RUNS = {
    "8,000 small files to SeaweedFS here": (work(8_000, 13_500, to_s3=True), Measured(is_near=True), 8_000 / 2_279),
    "one large file to SeaweedFS here": (work(1, GIB, to_s3=True), Measured(is_near=True), 1 / 0.18),
    "one large file from SeaweedFS here": (work(1, GIB, from_s3=True), Measured(is_near=True), 1 / 0.32),
    "40,000 small files to a server 20 ms away": (
        work(40_000, 13_475, to_s3=True),
        Measured(latency=0.02, requests_per_second=380, is_near=True),
        40_000 / 9_415,
    ),
    "200 small files from disk to disk, busy": (work(200, 10_803), Measured(is_near=True, busy=9.8), 5.51),
    "3,000 small files from disk to disk, busy": (work(3_000, 9_958), Measured(is_near=True, busy=8.9), 9.4),
    "one large file from disk to disk, busy": (work(1, 300_000_000), Measured(is_near=True, busy=8.7), 4.31),
    "40 files of 5 MB from disk to disk, busy": (work(40, 5_000_000), Measured(is_near=True, busy=8.2), 5.3),
    "200 small files to SeaweedFS here, busy": (
        work(200, 10_803, to_s3=True),
        Measured(is_near=True, busy=8.0, latency=0.0148, requests_per_second=87),
        7.03,
    ),
    "3,000 small files to SeaweedFS here, busy": (
        work(3_000, 9_958, to_s3=True),
        Measured(is_near=True, busy=7.5, latency=0.0434, requests_per_second=24),
        23.6,
    ),
    "8,000 small files to a server 20 ms away": (
        work(8_000, 13_475, to_s3=True),
        Measured(latency=0.02, requests_per_second=380, is_near=True),
        8_000 / 5_102,
    ),
}
"""First runs, of docs/performance.md or beside nine processes a core: the work, what a look measures, and the seconds it took."""


@pytest.mark.parametrize("name", FIRST_RUNS)
def test_a_first_run_takes_within_three_times_of_what_was_said(name: str) -> None:
    given_work, measured, took = FIRST_RUNS[name]
    fast, slow = estimate_of(given_work, measured).seconds
    middle = (fast * slow) ** 0.5
    assert took / 3 < middle < took * 3


def test_a_slow_source_bounds_the_rate() -> None:
    found = estimate_of(work(10, 100 * MIB, from_s3=True), Measured(read_bytes_per_second=1e6))
    assert found.seconds[1] >= 500
    assert any("1.0 MB" in told for told in found.rests_on)


@pytest.mark.parametrize(
    ("space", "short"),
    [
        (Space(10**9, 10**6, 4096), ""),
        (Space(10**5, 10**6, 4096), "space"),
        (Space(10**9, 900, 4096), "inodes"),
        (Space(10**9, None, 4096), ""),
    ],
)
def test_what_is_left_at_a_disk(space: Space, short: str) -> None:
    found = estimate_of(work(1_000, 1_000), Measured(space=space))
    assert found.is_short_of == short
    assert found.free_bytes == space.bytes
    assert found.free_bytes_after == space.bytes - 1_000 * (1_000 + 4096 // 2) - 888 * 4096
    assert found.free_inodes == space.inodes
    after = space.inodes - 1_000 - 888 if space.inodes is not None else None
    assert found.free_inodes_after == after, "a thousand files, nearly as many index folders, and the organization's"


def test_an_organization_without_anything_to_copy_gets_no_folder() -> None:
    missing = {"acme": Count(1, 10), "empty": Count(0, 0)}
    found = estimate_of(Work(missing=missing, discovered=1), Measured(space=Space(10**6, 100, 512)))
    assert found.free_inodes_after == 100 - 1 - 2
    assert found.free_bytes_after == 10**6 - 10 - 512 // 2 - 2 * 512


def test_told_to_a_program() -> None:
    found = estimate_of(work(3_000, 1, to_s3=True), Measured(space=Space(10**9, 10**6, 4096)))
    assert found.as_dict() == {
        "requests": {"list": 4, "create_bucket": 0, "put": 3_000, "multipart": 0, "part": 0, "total": 3_004},
        "seconds": {"fast": 0.9, "slow": 3.6},
        "rests_on": list(found.rests_on),
        "free_bytes": 10**9,
        "free_bytes_after": found.free_bytes_after,
        "free_inodes": 10**6,
        "free_inodes_after": found.free_inodes_after,
    }


@given(
    st.integers(0, 10**7),
    st.integers(0, 10**9),
    st.booleans(),
    st.booleans(),
    st.none() | st.floats(0, 10),
    st.none() | st.floats(1, 1e5),
    st.none() | st.floats(1, 1e9),
    st.floats(0, 100),
)
def test_the_range_is_a_range(
    files: int,
    size: int,
    from_s3: bool,
    to_s3: bool,
    latency: float | None,
    probed: float | None,
    rate: float | None,
    busy: float,
) -> None:
    measured = Measured(
        latency=latency, requests_per_second=probed, read_bytes_per_second=rate, busy=busy, space=Space(0, 0, 4096)
    )
    shape = Shape()
    given_work = Work(
        missing={"a": Count(files, files * size)}, discovered=files, shape=shape, from_s3=from_s3, to_s3=to_s3
    )
    found = estimate_of(given_work, measured)
    assert 0 <= found.seconds[0] <= found.seconds[1] <= 10 * found.seconds[0]
    assert found.rests_on
    assert all(count >= 0 for count in found.requests.values())
