"""Part sizes hold S3's limits for every size that an object can have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.core.size_thresholds import MIB, SMALLEST_PART, WHOLE_UP_TO
from migrator.stores.s3.part_sizes import MOST_PARTS, part_size_for, parts_in_flight

LARGEST_OBJECT = 5 << 40


@pytest.mark.parametrize(
    ("size", "part_size"),
    [
        (0, 8 * MIB),
        (WHOLE_UP_TO + 1, 8 * MIB),
        (80_000 * MIB, 8 * MIB),
        (80_000 * MIB + 1, 16 * MIB),
        (LARGEST_OBJECT, 1024 * MIB),
    ],
)
def test_part_sizes(size: int, part_size: int) -> None:
    assert part_size_for(size) == part_size


@given(st.integers(0, LARGEST_OBJECT))
def test_every_size_fits_into_the_parts_that_s3_allows(size: int) -> None:
    part_size = part_size_for(size)
    assert -(-size // part_size) <= MOST_PARTS
    assert SMALLEST_PART <= part_size <= 5 << 30
    assert part_size % MIB == 0
    assert parts_in_flight(size) >= 1


@given(st.integers(0, LARGEST_OBJECT), st.integers(0, LARGEST_OBJECT))
def test_a_larger_object_never_has_smaller_parts(one: int, other: int) -> None:
    assert part_size_for(min(one, other)) <= part_size_for(max(one, other))


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (0, 2),
        (17 * MIB, 2),
        (800 * MIB, 3),  # 3 % are 24 MiB
        (160_001 * MIB, 150),  # parts of 32 MiB
        (1_067 * MIB, 4),  # 32.01 MiB
        (1_066 * MIB, 3),
        (1_056 * MIB, 3),  # 4 in the hundred, or 3 in 101 the other way, would be another number
        (1_070 * MIB, 4),
        (80_000 * MIB, 300),
        (LARGEST_OBJECT, 153),
    ],
)
def test_as_many_parts_at_once_as_three_in_a_hundred_of_the_size(size: int, parts: int) -> None:
    assert parts_in_flight(size) == parts
    assert isinstance(parts_in_flight(size), int)
