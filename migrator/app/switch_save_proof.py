"""Waits for a raw file that Bytes saved at its new place after the start, and asks Bytes for it: saving works, and not reading alone."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from migrator.app.switch_api_proof import is_plain, not_given, sha256_at
from migrator.checks.audit.bytes_api import BytesApi
from migrator.config.env_file import Setting
from migrator.core.cancellation import Flag
from migrator.core.entities import RawFile, Shard, shards_of
from migrator.core.errors import StoreError
from migrator.core.notices import ignore_notice
from migrator.core.protocols import Source
from migrator.sync.compare import compare
from migrator.transfer.retry import ROUNDS

CLOCKS_APART_SECONDS = 3600.0
"""How far a server's clock may be behind: what is only at the new place, and older than that, was there before."""
FILE_TIMES_APART_SECONDS = 2.0
"""How far a file's time may be behind the clock: some file systems count in seconds, and none to the nanosecond."""
_SHORTEST_REST_SECONDS = 1.0
"""So often is Bytes asked for the same raw file: a data folder shows one while it is still being written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPlace:
    """Both ends as stores.

    `since`: when Bytes was started at the target, in seconds since the epoch; `on_disk`: the target is a data folder.
    """

    source: Source
    target: Source
    organizations: Sequence[str]
    since: float
    on_disk: bool

    def new_ones(self, over_at: float) -> Iterator[RawFile]:
        """Yield what is only at the target and was written there since the start, until it is `over_at` by the monotonic clock.

        Raises:
            StoreError: If an end cannot be listed.
        """
        since_ns = int((self.since - (FILE_TIMES_APART_SECONDS if self.on_disk else CLOCKS_APART_SECONDS)) * 1e9)
        for organization in self.organizations:
            for shard in self._shards(organization, since_ns):
                ends = self.source.scan(shard, ignore_notice), self.target.scan(shard, ignore_notice)
                for raw_id, source, target in compare(*ends):
                    if source is None and target is not None and target.modified_ns >= since_ns:
                        yield RawFile(organization, raw_id)
                    if time.monotonic() > over_at:
                        return

    def _shards(self, organization: str, since_ns: int) -> list[Shard]:
        """Return where to look: on disk the index folders that changed; of a bucket all, in another order each time."""
        if self.on_disk:
            folders = self.target.folders(Shard(organization))
            return [Shard(organization, one.prefix) for one in folders if one.fingerprint.changed_ns >= since_ns]
        shards = list(shards_of(organization, self.target.shard_length(organization)))
        random.shuffle(shards)
        return shards


def gives_new_one(
    api: BytesApi, place: NewPlace, settings: Sequence[Setting], *, seconds: float, stopping: Flag
) -> bool:
    """Wait for so many seconds; return whether Bytes gave a raw file that it saved since its start.

    False where none came in that time. One that Bytes does not know (HTTP 404) is none of its own, or is not in its database yet.

    Raises:
        MustStop: If Bytes does not give one that it knows, or gives another content.
    """  # noqa: DOC501 made by not_given
    over_at = time.monotonic() + seconds
    tries: Counter[RawFile] = Counter()
    while not stopping.is_set():
        began = time.monotonic()
        try:
            for raw_file in place.new_ones(over_at):
                served = api.content_of(raw_file.raw_id)
                is_same = not is_plain(settings) or served.sha256 == sha256_at(place.target, raw_file)
                if served.status == 200 and is_same:
                    return True
                tries[raw_file] += served.status != 404
                if tries[raw_file] >= ROUNDS:
                    raise not_given(api, raw_file, served.status)
        except StoreError:
            pass  # what cannot be listed at this moment shows nothing
        left = over_at - time.monotonic()
        if left <= 0:
            break
        stopping.wait(min(left, max(_SHORTEST_REST_SECONDS, time.monotonic() - began)))
    return False
