"""Finds out for which buckets a policy is, and has it made."""

from __future__ import annotations

import os
from collections.abc import Iterator

from migrator.app.store_factory import reading
from migrator.config.locations import DiskLocation, Locations, S3Location
from migrator.core.errors import MigratorError, SettingsError
from migrator.core.notices import ignore_notice
from migrator.doctor.policy import Purpose, S3End, policy
from migrator.transfer.retry import RetryPolicy

_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}


def policy_for(purpose: Purpose, locations: Locations, organizations: tuple[str, ...]) -> dict[str, object]:
    """Return the IAM policy's document; a source on disk tells the organizations, a server is not asked.

    Raises:
        SettingsError: If neither end is on S3.
    """
    known = organizations or _organizations_on_disk(locations)
    ends = list(_ends(purpose, locations, known))
    if not ends:
        raise SettingsError(
            "no-end-on-s3",
            "Neither end that this is for is on S3.",
            why=f"This goes from {locations.source} to {locations.target}.",
            cure="Name the S3 end with --to or --from.",
        )
    return policy(purpose, ends)


def _ends(purpose: Purpose, locations: Locations, organizations: tuple[str, ...]) -> Iterator[S3End]:
    """Bytes will be at the target; the way back starts there, unless that is where S3 is left."""
    for location in (locations.source, locations.target):
        is_target = location is locations.target
        other = locations.source if is_target else locations.target
        only_target = purpose in ("bytes", "reverse") and not is_target and isinstance(other, S3Location)
        if not isinstance(location, S3Location) or only_target:
            continue
        region = location.access.region or ""
        partition = next((name for begin, name in _PARTITIONS.items() if region.startswith(begin)), "aws")
        yield S3End(naming=location.naming, organizations=organizations, is_target=is_target, partition=partition)


def _organizations_on_disk(locations: Locations) -> tuple[str, ...]:
    source = locations.source
    if not isinstance(source, DiskLocation) or not os.path.isdir(source.root):
        return ()
    try:
        with reading(source, RetryPolicy(seconds=0)) as store:
            return tuple(store.organizations(ignore_notice))
    except MigratorError:
        return ()  # all buckets of the prefix are meant then
