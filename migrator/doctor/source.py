"""What a sample of the source tells: does it look like Bytes' own, and is Bytes at work on it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from migrator.core.errors import MigratorError
from migrator.core.outcomes import Finding, Problem
from migrator.core.tally import Count
from migrator.doctor import finding_names
from migrator.doctor.findings import failed, passed, some_of, warned

IN_USE_WITHIN = 60.0
"""Seconds since the last change within which Bytes is taken to be at work."""


@dataclass(slots=True, kw_only=True)
class SourceSample:
    """What was met of an end. `counts`: raw files and bytes of each organization, extrapolated where not `exact`.

    `newest` in seconds since the epoch, 0 for nothing; `empty` are raw files of 0 bytes. `errors`: organizations that could not be
    listed, and why.
    """

    counts: dict[str, Count] = field(default_factory=dict)
    exact: bool = True
    inspected: int = 0
    empty: list[str] = field(default_factory=list)
    newest: float = 0.0
    unreadable: list[str] = field(default_factory=list)
    errors: list[tuple[str, MigratorError]] = field(default_factory=list)


def source_findings(
    problems: Sequence[Problem], sample: SourceSample, *, is_disk: bool, now: float
) -> Iterator[Finding]:
    """`problems` are what lay beside the organizations."""
    files = sum(count.files for count in sample.counts.values())
    about = "" if sample.exact else "about "
    if not sample.errors:
        yield passed(
            finding_names.SOURCE,
            f"It looks like Bytes' own: {about}{files:,} raw files of {len(sample.counts)} organizations.",
        )
    yield from _beside(problems)
    unreadable = sample.unreadable + [one.where for one in problems if one.kind == "unreadable-folder"]
    if unreadable:
        yield warned(
            finding_names.UNREADABLE_FOLDERS,
            f"Folders that cannot be read: {len(unreadable)} ({some_of(unreadable)}).",
            "Their raw files would be left behind.",
            "Run this as root or as Bytes' user.",
        )
    else:
        yield passed(finding_names.UNREADABLE_FOLDERS, "All folders that were looked at can be read.")
    if sample.empty:
        yield warned(
            finding_names.EMPTY_FILES,
            f"Empty raw files in a sample of {sample.inspected:,}: {len(sample.empty)} ({some_of(sample.empty)}).",
            _WHY_EMPTY,
            _CURE_EMPTY,
        )
    else:
        yield passed(finding_names.EMPTY_FILES, f"None of {sample.inspected:,} raw files that were looked at is empty.")
    age = now - sample.newest
    if sample.newest and age < IN_USE_WITHIN:
        yield warned(
            finding_names.SOURCE_IN_USE,
            f"The newest raw file is {max(0, age):.0f} s old: if Bytes has not just been stopped, it still writes.",
            "That is fine for now; later files need one more run.",
            "Stop Bytes before the last run.",
        )
    else:
        where = "Nothing that was looked at" if is_disk else "No object that was looked at"
        yield passed(finding_names.SOURCE_IN_USE, f"{where} changed within the last minute.")


def empty_files(count: int, of: int, *, all_of_them: bool) -> Iterator[Finding]:
    """Nothing for none; else the number of raw files of 0 bytes among `of`."""
    if count:
        where = f"{of:,}" if all_of_them else f"the {of:,} that this run looked at"
        yield warned(finding_names.EMPTY_FILES, f"Empty raw files: {count:,} of {where}.", _WHY_EMPTY, _CURE_EMPTY)


_WHY_EMPTY = "Bytes saves empty files too, but an interrupted write or a full disk also leaves empty files."
_CURE_EMPTY = (
    "They are copied as they are. `bytes-migrator audit --level content` finds those that should have content."
)


_AS_MIGRATE = "See to it first: migrate would meet the same."


def listing_errors(sample: SourceSample, where: str) -> Iterator[Finding]:
    """Yield an error finding for each kind of error that a listing at `where` met, under the name that `migrate` would end with."""
    kinds: dict[tuple[str, str, str], list[tuple[str, MigratorError]]] = {}
    for organization, error in sample.errors:
        kinds.setdefault((error.name, error.why, error.cure), []).append((organization, error))
    for (name, why, cure), met in kinds.items():
        organizations = some_of([organization for organization, _ in met])
        yield failed(
            name, f"The listing of {organizations} at {where} fails: {met[0][1].what}", why, cure or _AS_MIGRATE
        )


def _beside(problems: Sequence[Problem]) -> Iterator[Finding]:
    odd = [one.where for one in problems if one.kind == "stray" and one.reason.startswith("not an organization's code")]
    strays = [one.where for one in problems if one.kind == "stray" and one.where not in odd]
    if odd:
        yield warned(
            finding_names.ORGANIZATION_NAMES,
            f"There are folders with names that no organization can have ({len(odd)}): {some_of(odd)}.",
            "Bytes never reads there: organizations are lower-case slugs of at most 32 characters.",
            "If it has raw files, rename it to the organization's code.",
        )
    else:
        yield passed(finding_names.ORGANIZATION_NAMES, "All folders are named as organizations are.")
    if strays:
        yield warned(
            finding_names.STRAYS,
            f"No raw files, beside the organizations: {len(strays)} ({some_of(strays)}).",
            "They are left alone: Bytes never reads them.",
        )
    else:
        yield passed(finding_names.STRAYS, "Nothing else lies beside the organizations.")
