"""What fits into the limit of open files."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator

import pytest

from migrator.core.open_files import folders_that_fit, jobs_that_fit, raise_limit


@pytest.fixture
def soft() -> Iterator[Callable[[int], None]]:
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda number: resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


@pytest.mark.parametrize(
    ("limit", "jobs", "folders"), [(40, 2, 5), (48, 4, 6), (256, 56, 32), (1024, 248, 64), (4096, 256, 64)]
)
def test_what_fits(limit: int, jobs: int, folders: int, soft: Callable[[int], None]) -> None:
    soft(limit)
    found = (jobs_that_fit(256), folders_that_fit(64))
    assert found == (jobs, folders)


def test_at_least_one_of_each(soft: Callable[[int], None]) -> None:
    soft(34)
    assert (jobs_that_fit(8), jobs_that_fit(1)) == (1, 1)


def test_the_soft_limit_is_raised_and_never_lowered(soft: Callable[[int], None]) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for before in (256, 5000):
        soft(before)
        raise_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (max(before, min(4096, hard)), hard)
