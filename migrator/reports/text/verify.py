"""The report of a verification, as an operator reads it aloud and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from migrator.core.notices import Problem
from migrator.core.tally import Tally
from migrator.reports.formatting import duration, files, number, placed, shown, size
from migrator.reports.json import as_json
from migrator.reports.report import SCHEMA, Report
from migrator.reports.text.console import first_problems, organization_table, reason_lines
from migrator.reports.text.ending import keeps_bytes_out
from migrator.reports.text.findings import finding_lines
from migrator.reports.text.run_summary import COUNTED_BY_REASON, KINDS, left_behind, only_closed
from migrator.reports.text.wrapping import joined

_COUNTED = ("proven", "unproven", "conflict", "missing", "failed", "extra", "stray", "closed")
_ALWAYS_SHOWN = frozenset({"proven", "missing"})
PROOF_KINDS = {
    **{kind: KINDS[kind] for kind in ("stray", "left-alone", "unreadable-folder", "closed")},
    "unproven": 2 * ("unproven: nothing says that they differ, and nothing proves that they are the same",),
    "refused": (
        "missing: its organization can have no valid bucket at the target",
        "missing: their organization can have no valid bucket at the target",
    ),
    "failed": 2 * ("failed: could not be read",),
    "missing": 2 * ("missing at the target",),
    "conflict": 2 * ("in conflict: both ends hold something under this name, and not the same",),
}
"""What each kind of problem is called, for one and for several; the gravest last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What relies on an earlier run of the same verification that was broken off. `oldest` in seconds before now."""

    shards: int
    files: int
    bytes: int
    oldest: float


@dataclass(frozen=True, slots=True)
class Expected:
    """How many raw files the source has, as far as they were counted; all of them if `is_final`."""

    files: int
    is_final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Report):
    """A verification. `sampled_from` is None where all raw files were looked at; `expected` where nobody counted ahead."""

    level: str
    seed: int | None = None
    sampled_from: int | None = None
    resumed: Resumed | None = None
    manifest: str | None = None
    against: str | None = None
    expected: Expected | None = None


def verification_as_json(report: Verification) -> str:
    """The document of ``verify --json``."""
    resumed = report.resumed
    sample = None
    if report.sampled_from is not None:
        sample = {"seed": report.seed, "files": report.overall.discovered.files, "of": report.sampled_from}
    return as_json(
        {
            "schema": SCHEMA,
            "command": report.command,
            "run": report.run,
            "from": report.source,
            "to": report.target,
            "level": report.level,
            "proves": report.proves,
            "sample": sample,
            "against": report.against,
            "manifest": report.manifest,
            "resumed": None
            if resumed is None
            else {
                "shards": resumed.shards,
                "files": resumed.files,
                "bytes": resumed.bytes,
                "oldest_seconds": round(resumed.oldest),
            },
            "seconds": round(report.seconds, 3),
            "interrupted_by": report.interrupted_by or None,
            "counting_is_final": report.counting_is_final,
            "organizations": [
                {"organization": row.organization, "bucket": row.bucket, **row.tally.as_proofs()} for row in report.rows
            ],
            "totals": report.overall.as_proofs(),
            "unreadable_folders": report.overall.unreadable_folders,
            "findings": [finding.as_dict() for finding in report.findings],
            "problems": [problem.as_dict() for problem in report.totals.problems],
            "problems_total": report.totals.problems_total,
            "settings": [setting.as_dict() for setting in report.settings],
            "next_steps": list(report.next_steps),
            "exit_status": report.exit_status,
        }
    )


def verification_as_text(report: Verification, width: int | None = None) -> str:
    """What `verify` prints at its end."""
    return joined(verification_lines(report, width), width)


def verification_lines(report: Verification, width: int | None = None) -> Iterator[str]:
    """Yield them, for a terminal of so many columns."""
    yield f"from  {shown(report.source)}"
    yield f"to    {shown(report.target)}"
    yield f"level {report.level}: {report.proves}"
    yield ""
    yield from _organization_table(report, width)
    yield ""
    yield from _problem_lines(report)
    yield from finding_lines(report.findings, report.known)
    yield from _in_one_sentence(report)
    yield from left_behind(report)
    for finding in keeps_bytes_out(report.findings):
        yield f"This compares both ends. Bytes cannot read at the target until [{finding.name}] is fixed: {shown(finding.seen)}"
    yield from map(shown, report.next_steps)


def _organization_table(report: Verification, width: int | None) -> Iterator[str]:
    overall = report.overall.as_proofs()
    columns = [name for name in _COUNTED if name in _ALWAYS_SHOWN or overall[name]["files"]]

    def cells(tally: Tally) -> list[str]:
        proofs = tally.as_proofs()
        found = proofs["discovered"]
        return [number(found["files"]), size(found["bytes"]), *(number(proofs[name]["files"]) for name in columns)]

    yield from organization_table(["files", "size", *columns], report.rows, report.overall, cells, width)


def _problem_lines(report: Verification) -> Iterator[str]:
    """What needs a look, the gravest last: there the eye is when the output stops."""
    by_kind: dict[str, list[Problem]] = {}
    for problem in report.totals.problems:
        by_kind.setdefault(problem.kind, []).append(problem)
    proofs = report.overall.as_proofs()
    for kind, words in PROOF_KINDS.items():
        listed = by_kind.get(kind, [])
        total = max(len(listed), proofs.get(kind, {}).get("files", 0))
        if not total:
            continue
        yield f"{number(total)} {words[total != 1]}"
        if kind in COUNTED_BY_REASON:
            yield from reason_lines(report, kind, total)
        else:
            lines = (placed(problem.where, problem.reason) for problem in listed)
            yield from first_problems(lines, total, "bytes-migrator status --problems 1000")
        yield ""


def _expected(report: Verification) -> str:
    """'≥1,200 files': what was counted ahead, or at least what was met."""
    met, counted = report.overall.discovered.files, report.expected
    is_final = counted is not None and counted.is_final
    return f"{'' if is_final else '≥'}{files(max(met, counted.files if counted is not None else 0))}"


def _in_one_sentence(report: Verification) -> Iterator[str]:
    proofs = report.overall.as_proofs()
    discovered, proven = proofs["discovered"], proofs["proven"]
    took = duration(report.seconds)
    if report.sampled_from is not None:
        yield f"A sample: {files(discovered['files'])} of {number(report.sampled_from)}, with the seed {report.seed}."
    if report.resumed is not None:
        resumed = report.resumed
        yield (
            f"{files(resumed.files)} of them were proven by an interrupted run, {duration(resumed.oldest)} ago "
            f"at most; neither "
            "end's listing has changed since, and they were not read again. To read everything: --fresh."
        )
    if report.interrupted_by:
        yield (
            f"Stopped by {report.interrupted_by} after {took}: {number(proven['files'])} of "
            f"{_expected(report)} proven so far. Rerun the same command to resume."
        )
    elif report.exit_status == 0:
        yield (
            f"Proven at level {report.level}: all {files(discovered['files'])} ({size(discovered['bytes'])}), in {took}."
            if discovered["files"]
            else f"There was nothing to prove (in {took})."
        )
    elif only_closed(report.overall) and discovered["files"] == proven["files"]:
        closed = number(proofs["closed"]["files"])
        yield (
            f"Proven at level {report.level}: all {files(discovered['files'])}. But Bytes cannot use {closed} raw "
            f"files and folders at the target, see above: owner or mode keeps its user out (in {took})."
        )
    else:
        counted = " + ".join(
            f"{number(proofs[name]['files'])} {name}" for name in _COUNTED[:5] if proofs[name]["files"]
        )
        yield f"Not everything is proven at level {report.level}, see above: {counted or 'nothing counted'} (in {took})."
    if report.manifest is not None and not report.interrupted_by:
        whole = "" if report.exit_status == 0 else " It has only what was proven."
        yield f"The manifest is in {shown(report.manifest)}.{whole}"
