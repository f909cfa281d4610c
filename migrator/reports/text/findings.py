"""Which findings a report shows: each warning where it matters, and once for each pair of locations.

In: the findings of a run, and what earlier runs of the same pair showed. Out: lines. Errors, forced findings and whatever may keep Bytes
from reading are shown each time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from migrator.core.errors import MigratorError
from migrator.core.findings import Finding, FindingStatus
from migrator.doctor import finding_names as names
from migrator.reports.formatting import number, plural, shown

ONLY_DOCTOR = frozenset({names.SECRETS_READABLE, names.PROFILE_ONLY, names.ABILITIES, names.SOURCE_IN_USE})
"""Warnings that change nothing about a copy: `doctor` alone shows them."""

BEFORE_A_COPY = frozenset({names.EMPTY_FILES})
"""Warnings about what the source holds: `doctor` and `plan` show them, a run copies such files as they are."""

ONCE = frozenset(
    {
        names.BUCKET_PER_ORG_DEFAULT,
        names.DEFAULT_BUCKET_NAME,
        names.AWS_REGION_IGNORED,
        names.AWS_SETTING_NOT_APPLIED,
        names.DEBIAN_SETTINGS,
        names.SETTING_NAMES,
        names.ENV_FILE_FORM,
        names.BYTES_RAWS,
        names.BYTES_VERSION,
        names.EMPTY_FILES,
        names.ACCESS_LISTS,
        names.UMASK,
        names.FILE_SYSTEM,
        names.VERSIONING,
        names.OBJECT_LOCK,
        names.ENCRYPTION,
        names.FOREIGN_OBJECTS,
        "lists-by-v1",
        names.LIBCURL_MISSING,
    }
)
"""Lasting conditions that keep nobody from reading: shown by the first run that meets them, then counted."""

Known = Collection[tuple[str, str]]
"""Name and words of findings that an earlier run of the same pair had."""


def as_known(findings: Sequence[Finding]) -> frozenset[tuple[str, str]]:
    """What a later run knows of these findings."""
    return frozenset((one.name, one.seen) for one in findings)


def is_shown(finding: Finding, known: Known, *, is_plan: bool = False) -> bool:
    """Return True for what a run shows; what passed is never shown."""
    if finding.status is FindingStatus.PASS:
        return False
    if finding.status is FindingStatus.ERROR or finding.forced:
        return True
    if finding.name in ONLY_DOCTOR or (finding.name in BEFORE_A_COPY and not is_plan):
        return False
    return not (finding.name in ONCE and (finding.name, finding.seen) in known)


def finding_lines(findings: Sequence[Finding], known: Known = (), *, is_plan: bool = False) -> Iterator[str]:
    """Warnings and errors, each with why and cure; then how many were left out."""
    hidden = in_earlier = 0
    for finding in findings:
        if is_shown(finding, known, is_plan=is_plan):
            yield from lines_of(finding)
        elif finding.status is not FindingStatus.PASS:
            hidden += 1
            in_earlier += (finding.name, finding.seen) in known
    if hidden:
        earlier = f", {number(in_earlier)} known from earlier" if in_earlier else ""
        yield f"{plural(hidden, 'more warning')} not shown{earlier}: `bytes-migrator doctor` shows all."


def lines_of(finding: Finding) -> Iterator[str]:
    """One finding: what was seen, why it matters, and how to fix it."""
    forced = " (forced)" if finding.forced else ""
    yield f"{finding.status.value}{forced}: {shown(finding.seen)} [{finding.name}]"
    yield from _why_and_cure(finding.why, finding.cure)


def error_lines(error: MigratorError) -> Iterator[str]:
    """What ended a command: what happened, the likely cause, and what to do."""
    yield f"error: {shown(error.what)} [{error.name}]"
    yield from _why_and_cure(error.why, error.cure)


def _why_and_cure(why: str, cure: str) -> Iterator[str]:
    if why:
        yield f"  why:  {shown(why)}"
    if cure:
        yield f"  cure: {shown(cure)}"
