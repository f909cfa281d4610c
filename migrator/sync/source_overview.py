"""The first look: what can be known before anything is moved. Nothing here writes."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from migrator.core.entities import HEX_DIGITS, INDEX_LENGTH, Shard
from migrator.core.errors import AccessDenied, CannotStart, MigratorError, SettingsError
from migrator.core.findings import Finding, FindingStatus
from migrator.core.naming import broken_bucket_rule, has_name_with_some_prefix, is_organization, is_sent_by_boto3
from migrator.core.notices import Notice, NoticeKind, Problem, ignore_notice
from migrator.core.protocols import Source
from migrator.doctor.finding_shorthands import failed, passed, warned
from migrator.sync.messages import problem_of

_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOverview:
    """The organizations of a run and what lies beside them."""

    organizations: tuple[str, ...]
    problems: tuple[Problem, ...]
    stray_bytes: int


def overview_of_source(
    source: Source, where: str, chosen: Sequence[str], *, allow_empty: bool, is_there: bool = True
) -> SourceOverview:
    """Find the organizations that are to be moved; `is_there` is False for a data folder that does not exist.

    Raises:
        CannotStart: If the source has none, for it may not be mounted; `allow_empty` takes it for what it is.
    """  # noqa: DOC501 made by _missing
    if not is_there and not allow_empty:
        raise _missing(where)
    notices: list[Notice] = []
    if chosen:
        organizations = _chosen(source, where, chosen)
    else:
        organizations = tuple(source.organizations(notices.append))
    are_hidden = any(notice.kind is NoticeKind.UNREADABLE_FOLDER for notice in notices)
    if not allow_empty and not are_hidden and not _hold_any(source, organizations):
        raise _too_deep(where) if _are_index_folders(organizations) else _empty(where)
    strays = [notice for notice in notices if notice.kind is NoticeKind.STRAY]
    return SourceOverview(
        organizations=organizations,
        problems=tuple(problem_of(notice) for notice in notices),
        stray_bytes=sum(notice.size for notice in strays),
    )


def check_bucket_names(
    buckets: Sequence[tuple[str, str]], accepted: Collection[str] = ()
) -> tuple[Finding, frozenset[str]]:
    """Hold (organization, bucket) against S3's naming rules; also returns the organizations that can have no bucket.

    `accepted`: buckets that the server has, or was seen to make. Servers without the rules take other names, and Bytes works there, as
    long as its own client sends them.
    """
    names = dict.fromkeys(bucket for _, bucket in buckets)
    rules = {bucket: rule for bucket in names if (rule := broken_bucket_rule(bucket))}
    taken = [bucket for bucket in rules if bucket in accepted and is_sent_by_boto3(bucket)]
    broken = {bucket: rule for bucket, rule in rules.items() if bucket not in taken}
    also = f" {len(taken)} more break S3's rules, and this server has them." if broken and taken else ""
    if not rules:
        seen = f"All {len(names)} bucket names follow S3's rules." if len(names) != 1 else "The bucket's name is valid."
        return passed("bucket-names", seen), frozenset()
    if not broken:
        return _names_taken(taken, len(names)), frozenset()
    refused = [(organization, bucket) for organization, bucket in buckets if bucket in broken]
    finding = failed(
        "bucket-names",
        f"{len(broken)} of {len(names)} bucket names are invalid: {_shown_names(refused, broken)}.{also}",
        "Bytes computes these names itself, and would answer HTTP 500.",
        f"{names_cure(refused)} To move the other organizations now and leave these out: --force bucket-names.",
    )
    return finding, frozenset(organization for organization, _ in refused)


def names_cure(refused: Sequence[tuple[str, str]]) -> str:
    """What helps (organization, bucket) with an invalid name: another prefix only where it is the prefix that breaks a rule."""
    one_for_all = "S3_BUCKET=<name> and BUCKET_PER_ORG=false"
    beyond = [organization for organization, _ in refused if not has_name_with_some_prefix(organization)]
    if len({bucket for _, bucket in refused}) < len(refused) or not all(
        bucket.endswith(one) for one, bucket in refused
    ):
        cure = "Set another S3_BUCKET: 3 to 63 lower-case letters, digits and hyphens."
    elif not beyond:
        cure = f"Set another S3_BUCKET_PREFIX, or one bucket for all: {one_for_all}."
    else:
        few = ", ".join(repr(one) for one in beyond[:_NAMES_SHOWN])
        more = f" and {len(beyond) - _NAMES_SHOWN} more" if len(beyond) > _NAMES_SHOWN else ""
        cure = f"Use one bucket for all: {one_for_all}. No S3_BUCKET_PREFIX helps {few}{more}."
    if any(is_sent_by_boto3(bucket) for _, bucket in refused):
        cure += " Some servers take such names all the same: bytes-migrator doctor --probe finds out."
    return cure


def _names_taken(taken: Sequence[str], total: int) -> Finding:
    shown = ", ".join(repr(bucket) for bucket in taken[:_NAMES_SHOWN])
    more = f" and {len(taken) - _NAMES_SHOWN} more" if len(taken) > _NAMES_SHOWN else ""
    return warned(
        "bucket-names",
        f"{len(taken)} of {total} bucket names break S3's rules, and this server has them: {shown}{more}.",
        "Bytes works there. AWS, SeaweedFS, MinIO and Ceph refuse such names.",
    )


def _shown_names(refused: Sequence[tuple[str, str]], broken: Mapping[str, str]) -> str:
    shown = []
    for organization, bucket in refused[:_NAMES_SHOWN]:
        unsent = "" if is_sent_by_boto3(bucket) else ", and Bytes' own S3 client sends no request for it"
        shown.append(f"{bucket!r} for {organization!r}: {broken[bucket]}{unsent}")
    more = f"; and {len(refused) - _NAMES_SHOWN} more" if len(refused) > _NAMES_SHOWN else ""
    return "; ".join(shown) + more


def as_forced(findings: Iterable[Finding], forced: frozenset[str]) -> tuple[Finding, ...]:
    """The same findings; those that ``--force`` names, and that did not pass, are marked, so that every report shows them."""
    return tuple(
        replace(one, forced=True) if one.name in forced and one.status is not FindingStatus.PASS else one
        for one in findings
    )


def not_inspected(name: str, what: str) -> Finding:
    """The finding in place of a look that ``--force`` left out; `what` begins the sentence."""
    return Finding(
        name=name, status=FindingStatus.WARNING, seen=f"{what} was not looked at, as --force {name} asks.", forced=True
    )


def refuse_errors(findings: Sequence[Finding], forced: frozenset[str]) -> None:
    """Refuse to start with an error among the findings, unless it was forced by name.

    Raises:
        CannotStart: If there is one; it says what the first one does.
    """
    for finding in findings:
        if finding.status is FindingStatus.ERROR and finding.name not in forced:
            raise CannotStart(finding.name, finding.seen, why=finding.why, cure=finding.cure)


def _chosen(source: Source, where: str, chosen: Sequence[str]) -> tuple[str, ...]:
    for name in chosen:
        if not is_organization(name) or _is_surely_empty(source, name, alone=len(chosen) == 1):
            raise SettingsError(
                "organization-unknown",
                f"There is no organization {name!r} at {where}.",
                cure=_known_names(source, name),
            )
    return tuple(sorted(set(chosen)))


def _is_surely_empty(source: Source, name: str, *, alone: bool) -> bool:
    """Return True if there is nothing; a bucket that may not be listed is none that is empty.

    Raises:
        AccessDenied: If this is the only organization; where others are left, its refusal is told with what they come
            to.
    """
    try:
        return source.is_empty(name)
    except AccessDenied:
        if alone:
            raise
        return False


def _known_names(source: Source, name: str) -> str:
    try:
        known = tuple(islice(source.organizations(ignore_notice), 1_000))
    except MigratorError:
        return "Check the spelling."
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    more = ", …" if len(known) > _NAMES_SHOWN else ""
    return f"{hint}It has: {', '.join(known[:_NAMES_SHOWN])}{more}." if known else "It has no organizations at all."


def _hold_any(source: Source, organizations: Sequence[str]) -> bool:
    """Return True if one of them has a raw file.

    Raises:
        AccessDenied: If all that might have one refuse.
    """
    refused: AccessDenied | None = None
    for organization in organizations:
        try:
            if _holds_any(source, organization):
                return True
        except AccessDenied as error:
            if len(organizations) == 1:
                raise
            refused = refused or error
    if refused is not None:
        raise refused
    return False


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
        why="Index folders (three hex characters) lie in it.",
        cure="Give the folder above it.",
    )


def _missing(where: str) -> CannotStart:
    return CannotStart(
        "source-missing",
        f"There is no folder {where.removesuffix(' (disk)')}.",
        why="The path is wrong, or its volume is not mounted.",
        cure="Check the path; relative paths start at the current folder.",
    )


def _empty(where: str) -> CannotStart:
    return CannotStart(
        "source-empty",
        f"There is no raw file at {where}.",
        why="The volume may not be mounted, or the setting may be wrong.",
        cure="Check the location. If it is meant to be empty, add --allow-empty.",
    )
