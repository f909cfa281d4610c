"""The first look: what can be known before anything is moved. Nothing here writes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from migrator.errors import CannotStart, MigratorError, SettingsError
from migrator.model import (
    HEX_DIGITS,
    INDEX_LENGTH,
    Finding,
    FindingStatus,
    Notice,
    NoticeKind,
    Problem,
    Shard,
)
from migrator.naming import broken_bucket_rule, is_organization
from migrator.protocols import Source
from migrator.units import problem_of

_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLook:
    """The organizations of a run and what lies beside them."""

    organizations: tuple[str, ...]
    problems: tuple[Problem, ...]
    stray_bytes: int


def look_at_source(source: Source, where: str, chosen: Sequence[str], *, allow_empty: bool) -> SourceLook:
    """Find the organizations that are to be moved. Raises CannotStart for a source that has none: it may not be mounted."""
    notices: list[Notice] = []
    if chosen:
        organizations = _chosen(source, where, chosen)
    else:
        organizations = tuple(source.organizations(notices.append))
    if not allow_empty and not any(_holds_any(source, organization) for organization in organizations):
        raise _too_deep(where) if _are_index_folders(organizations) else _empty(where)
    strays = [notice for notice in notices if notice.kind is NoticeKind.STRAY]
    return SourceLook(
        organizations=organizations,
        problems=tuple(problem_of(notice) for notice in notices),
        stray_bytes=sum(notice.size for notice in strays),
    )


def look_at_bucket_names(buckets: Sequence[tuple[str, str]]) -> tuple[Finding, frozenset[str]]:
    """Hold (organization, bucket) against S3's naming rules; also returns the organizations that cannot be named."""
    broken = [(organization, bucket, rule) for organization, bucket in buckets if (rule := broken_bucket_rule(bucket))]
    if not broken:
        seen = (
            f"All {len(buckets)} bucket names follow S3's rules."
            if len(buckets) != 1
            else "The bucket's name is valid."
        )
        return Finding(name="bucket-names", status=FindingStatus.PASS, seen=seen), frozenset()
    shown = "; ".join(
        f"{bucket!r} for {organization!r}: {rule}" for organization, bucket, rule in broken[:_NAMES_SHOWN]
    )
    more = f"; and {len(broken) - _NAMES_SHOWN} more" if len(broken) > _NAMES_SHOWN else ""
    finding = Finding(
        name="bucket-names",
        status=FindingStatus.ERROR,
        seen=f"{len(broken)} of {len(buckets)} bucket names are invalid: {shown}{more}.",
        why="Bytes computes these names itself: it would answer HTTP 500 for these organizations, and under any other name "
        "it would not find their raw files.",
        cure="Set another S3_BUCKET_PREFIX, or one bucket for all: S3_BUCKET=<name> and BUCKET_PER_ORG=false. "
        "To move the other organizations now and leave these out: --force bucket-names.",
    )
    return finding, frozenset(organization for organization, _, _ in broken)


def refuse_errors(findings: Sequence[Finding], forced: frozenset[str]) -> None:
    """Raise CannotStart for the first error finding that was not forced by name."""
    for finding in findings:
        if finding.status is FindingStatus.ERROR and finding.name not in forced:
            raise CannotStart(finding.name, finding.seen, why=finding.why, cure=finding.cure)


def _chosen(source: Source, where: str, chosen: Sequence[str]) -> tuple[str, ...]:
    for name in chosen:
        if not is_organization(name) or source.is_empty(name):
            raise SettingsError(
                "organization-unknown",
                f"There is no organization {name!r} at {where}.",
                cure=_known_names(source, name),
            )
    return tuple(sorted(set(chosen)))


def _known_names(source: Source, name: str) -> str:
    try:
        known = tuple(islice(source.organizations(lambda notice: None), 1_000))
    except MigratorError:
        return "Check the spelling."
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    more = ", …" if len(known) > _NAMES_SHOWN else ""
    return f"{hint}It has: {', '.join(known[:_NAMES_SHOWN])}{more}." if known else "It has no organizations at all."


def _holds_any(source: Source, organization: str) -> bool:
    """Whether there is a raw file, or a folder that cannot be read: which is a problem, but no emptiness."""
    notices: list[Notice] = []
    if next(source.scan(Shard(organization), notices.append), None) is not None:
        return True
    return any(notice.kind is NoticeKind.UNREADABLE_FOLDER for notice in notices)


def _are_index_folders(organizations: Sequence[str]) -> bool:
    """Whether all "organizations" are named like index folders: the operator pointed at the folder of one organization."""
    return bool(organizations) and all(
        len(name) == INDEX_LENGTH and set(name) <= set(HEX_DIGITS) for name in organizations
    )


def _too_deep(where: str) -> CannotStart:
    return CannotStart(
        "one-level-too-deep",
        f"{where} looks like the folder of one organization, not like a data folder.",
        why="Index folders (three hex characters) lie where organizations belong.",
        cure="Give the folder above it.",
    )


def _empty(where: str) -> CannotStart:
    return CannotStart(
        "source-empty",
        f"There is no raw file at {where}.",
        why="A volume that is not mounted and a wrong setting look just like this.",
        cure="Check the location; if it is truly empty and that is fine, add --allow-empty.",
    )
