"""What all shards of a run share."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from migrator.config.time_filter import ANY_AGE, Ages
from migrator.core.cancellation import Flag
from migrator.core.entities import RawId, Shard
from migrator.core.outcomes import Denial, Result, Step
from migrator.core.protocols import Sink, Source
from migrator.sync.rules import REFUSE, Rules
from migrator.sync.shard.outcome_followers import NoTracking, Tracking


class Taking(Protocol):
    """A choice of raw files: a sample."""

    def takes(self, organization: str) -> Callable[[RawId], bool]:
        """Whether a raw file of that organization is chosen."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What all units of a run share.

    `settle_ns`: a raw file that changed less than this ago may still be written to. `tracking` makes who follows a shard's outcomes and
    keeps something of them. `refusal` are the rules for organizations without a valid name at the target. `tells_copied`: name each raw
    file that was copied. `ages`: which raw files of the source count, `sample`: which of those; where any is left out, nothing is extra
    and no folder is finished. `parted`: organizations have buckets of their own; `denied` are those whose buckets refuse. `lists_extra`:
    each raw file that is only at the target is told by name. `spread`: many workers want their part of each organization. `rehearse`, of a
    dry run, says at once what a step would come to, so that none goes to the sink: the way there and back costs as much as the listing.
    """

    source: Source
    target: Source
    sink: Sink
    rules: Rules
    refused: frozenset[str]
    settle_ns: int
    stopping: Flag
    tracking: Tracking = NoTracking
    tells_copied: bool = False
    ages: Ages = ANY_AGE
    sample: Taking | None = None
    spread: bool = False
    refusal: Rules = field(default_factory=lambda: REFUSE)
    lists_extra: bool = False
    parted: bool = False
    denied: Mapping[str, Denial] = field(default_factory=dict)
    rehearse: Callable[[str, Step], Result] | None = None
    clock_ns: Callable[[], int] = time.time_ns
    pick: Callable[[Sequence[Shard]], Shard] = random.choice  # noqa: S311 which shard is sampled is no secret

    @property
    def is_partial(self) -> bool:
        """Whether raw files are left out on purpose."""
        return bool(self.ages) or self.sample is not None
