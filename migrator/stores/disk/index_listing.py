"""The index folders of organizations, listed once for all their shards: a large organization has 4,096 of either."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from migrator.stores.reserved_names import is_index

KEPT = 8
"""Organizations: a worker has a few under way."""
RESTED_NS = 2_000_000_000
"""A folder that changed less than this before it was listed may change again within one tick of the file system's clock, unseen."""
_BEHIND_HEX = "g"


class _Listing(NamedTuple):
    state: tuple[int, int, int, int]
    names: list[str]


class IndexFolders:
    """Keeps the last listings, each for as long as the organization's folder is as it was: a new index folder shows in its times."""

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._kept: dict[str, _Listing] = {}

    def below(self, organization: str, fd: int, prefix: str) -> Sequence[str]:
        """Names of the organization's index folders with this prefix, ascending; `fd` is its folder. Raises OSError."""
        status = os.fstat(fd)
        state = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        kept = self._kept.get(organization)
        if kept is None or kept.state != state:
            listed_at = self._clock_ns()
            kept = _Listing(state, sorted(name for name in os.listdir(fd) if is_index(name)))
            self._keep(organization, kept, rested=listed_at - max(state[2:]) > RESTED_NS)
        names = kept.names
        return names[bisect_left(names, prefix) : bisect_left(names, prefix + _BEHIND_HEX)] if prefix else names

    def _keep(self, organization: str, listing: _Listing, *, rested: bool) -> None:
        self._kept.pop(organization, None)
        if not rested:
            return
        self._kept[organization] = listing
        while len(self._kept) > KEPT:
            self._kept.pop(next(iter(self._kept)), None)
