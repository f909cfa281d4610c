"""What the first checks of a run found: the organizations, the findings, and the buckets of the target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from migrator.config.locations import Locations, S3Location
from migrator.core.findings import Finding
from migrator.core.naming import BucketPerOrganization
from migrator.core.notices import Denial
from migrator.sync.source_overview import SourceOverview


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The first look's result: what would be moved, what was found, and which of the target's buckets are there or to be made.

    `is_part`: only some organizations, or an age, were asked for.
    `owner`: user and group id of what is written to a disk; None for whoever writes it, or the data folder's owner.
    `denied` are organizations whose bucket at the target refuses, while those of others do not.
    """

    locations: Locations
    overview: SourceOverview
    findings: tuple[Finding, ...]
    refused: frozenset[str]
    buckets_to_create: tuple[str, ...]
    buckets_there: tuple[str, ...]
    is_part: bool = False
    owner: tuple[int, int] | None = None
    denied: Mapping[str, Denial] = field(default_factory=dict)

    @property
    def movable(self) -> list[str]:
        """The organizations that have a bucket at the target, or can have one."""
        return [one for one in self.overview.organizations if self.is_movable(one)]

    def is_movable(self, organization: str) -> bool:
        """Return True for one of those."""
        return organization not in self.refused and organization not in self.denied

    @property
    def parted(self) -> bool:
        """Whether organizations have buckets of their own at either end, so that one that refuses says nothing of the others."""
        ends = (self.locations.source, self.locations.target)
        return are_parted(ends) and len(self.overview.organizations) > 1


def are_parted(ends: Iterable[object]) -> bool:
    """Whether one of these locations has a bucket for each organization."""
    return any(isinstance(end, S3Location) and isinstance(end.naming, BucketPerOrganization) for end in ends)
