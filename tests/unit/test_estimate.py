"""What a migration would cost, said beforehand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.estimate import Measured, Rates, Space, Work, estimate_of
from migrator.model import Count, Shape

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
    found = estimate_of(work(1_000, 1_000, to_s3=True), Measured(latency=9.0, earlier=Rates(100.0, 1e9, "20260102-x")))
    assert found.seconds == (5.0, 15.0)
    assert "20260102-x" in found.rests_on[0]


def test_latency_counts_where_it_is_what_holds_up() -> None:
    quick, slow = (estimate_of(work(10_000, 10, to_s3=True), Measured(latency=each)) for each in (0.001, 0.5))
    assert slow.seconds[0] > 5 * quick.seconds[0]
    assert any("500.0 ms" in told for told in slow.rests_on)


def test_a_slow_source_bounds_the_rate() -> None:
    found = estimate_of(work(10, 100 * MIB, from_s3=True), Measured(read_bytes_per_second=1e6))
    assert found.seconds[0] >= 1_000


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
    if space.inodes is not None and found.free_inodes_after is not None:
        used = space.inodes - found.free_inodes_after
        assert 1_800 < used < 2_000, "a thousand files, and nearly as many index folders"


@given(
    st.integers(0, 10**7),
    st.integers(0, 10**9),
    st.booleans(),
    st.booleans(),
    st.none() | st.floats(0, 10),
    st.none() | st.floats(1, 1e9),
)
def test_the_range_is_a_range(
    files: int, size: int, from_s3: bool, to_s3: bool, latency: float | None, rate: float | None
) -> None:
    measured = Measured(latency=latency, read_bytes_per_second=rate, space=Space(0, 0, 4096))
    shape = Shape()
    given_work = Work(
        missing={"a": Count(files, files * size)}, discovered=files, shape=shape, from_s3=from_s3, to_s3=to_s3
    )
    found = estimate_of(given_work, measured)
    assert 0 <= found.seconds[0] <= found.seconds[1]
    assert found.rests_on
    assert all(count >= 0 for count in found.requests.values())


def test_a_range_that_is_one_number_is_not_told_as_a_range() -> None:
    found = estimate_of(work(100, 10_000, from_s3=True), Measured(read_bytes_per_second=1.4e6))
    assert "reading rate at the source of 1.4 MB" in " ".join(found.rests_on)
    assert not any("1.4 to 1.4" in told for told in found.rests_on)
    assert any("10.0 to 100.0 MB" in told for told in estimate_of(work(100, 10_000), Measured()).rests_on)
