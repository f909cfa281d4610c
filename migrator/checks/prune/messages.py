"""What the coordinator and the workers of prune say to each other: units of work one way, events the other. Small and picklable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from migrator.checks.audit.database_row import Recorded
from migrator.checks.prune.deletion import Row
from migrator.checks.prune.tallies import Pruned
from migrator.core.entities import Shard
from migrator.sync.messages import Survey, UnitEnded


class ProveShard(NamedTuple):
    """A unit: prove a shard, and write its rows of the manifest if there is one."""

    shard: Shard


class DeleteBatch(NamedTuple):
    """A unit: prove these raw files of one organization once more, and delete them."""

    rows: Sequence[Row]


Unit = Survey | ProveShard | DeleteBatch


class PruneSurveyed(NamedTuple):
    """An event: the length of the prefixes of an organization's shards."""

    organization: str
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """An event: what has happened since a worker's last one, and how many raw files that was about."""

    pruned: Pruned
    proven: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardProven:
    """An event: a shard is proven. `sheet` is the digest of its rows of the manifest, if there is one; `sample` some that could go."""

    shard: Shard
    sheet: str = ""
    sample: Sequence[Recorded] = field(default=())


Event = PruneSurveyed | Counted | ShardProven | UnitEnded
