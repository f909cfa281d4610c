"""The audit's report, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from migrator.checks.audit.bytes_api import RawFileAnswer, Reply
from migrator.checks.audit.tally import PROBLEMS_OF_A_KIND, Audited, AuditTally, Kind
from migrator.config.env_file import Setting
from migrator.config.locations import DiskLocation, Location
from migrator.core.findings import Finding
from migrator.core.tally import Count
from migrator.reports.formatting import clock_time, duration, files, moment, number, placed, plural, shown, size
from migrator.reports.json import as_json
from migrator.reports.report import SCHEMA, Evidence, ReportRow, status_when_interrupted
from migrator.reports.text.console import first_problems, organization_table
from migrator.reports.text.findings import finding_lines
from migrator.reports.text.wrapping import joined

HEADINGS = {
    Kind.ORPHANED: "orphaned: no row of the database names them, so Bytes never reads them",
    Kind.UNHASHED: "without a recorded digest",
    Kind.API: "not answered correctly by the running Bytes",
    Kind.UNREADABLE_FOLDER: "unreadable folders: raw files in them were not counted",
    Kind.ELSEWHERE: "only at the other location: Bytes cannot read them with these settings",
    Kind.CLOSED: "closed: they exist, but owner or mode keeps Bytes' user out",
    Kind.MISSING: "missing: lost, or never saved",
    Kind.FAILED: "not read to their end, so neither proven nor altered",
    Kind.UNDECODABLE: "undecodable: Bytes cannot decrypt them",
    Kind.ALTERED: "altered: not what Bytes recorded",
}
"""What each kind of problem is called, the gravest last."""


_PROBLEMS_SHOWN = 5
"""Of each kind: they are alike, and --report lists all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAnswers:
    """How a running Bytes answered for a sample: `wanted` so many, drawn by `seed`."""

    url: str
    wanted: int
    seed: int
    answered: tuple[RawFileAnswer, ...]

    @property
    def is_clean(self) -> bool:
        """Return True if Bytes gave every raw file that it was asked for."""
        return all(answered.reply in (Reply.PROVEN, Reply.UNHASHED) for answered in self.answered)


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesCalls:
    """What is known of Bytes' own calls on the buckets in which raw files are, counted in buckets.

    `files_failing`: raw files in buckets where they fail. `found_out`: the oldest look's time (seconds since the epoch), None without one.
    """

    buckets: int
    works: int
    fails: int
    files_failing: int
    found_out: float | None
    by_probe: bool

    @property
    def state(self) -> str:
        """'works' and 'fails' are known; 'unknown': not all buckets were tried, and no call is known to fail."""
        if self.fails:
            return "fails"
        return "works" if self.works == self.buckets else "unknown"

    def as_dict(self) -> dict[str, object]:
        """Return as it stands in JSON reports when, and by what, Bytes' calls were tried."""
        return {
            "state": self.state,
            "buckets": self.buckets,
            "works": self.works,
            "fails": self.fails,
            "files_failing": self.files_failing,
            "found_out": moment(self.found_out),
            "by": ("probe" if self.by_probe else "ledger") if self.found_out is not None else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What an audit found.

    `first` has to be said before any count, empty for nothing. `ages` says in words which raw files were asked about, empty for all.
    `calls`: None on disk. `run` is empty where nothing could be kept for `report`.
    """

    target: Location
    source: Location | None
    database: str
    contents: bool
    ages: str
    rows: tuple[ReportRow[AuditTally], ...]
    audited: Audited
    findings: tuple[Finding, ...]
    settings: tuple[Setting, ...]
    api: ApiAnswers | None
    seconds: float
    interrupted_by: str = ""
    calls: BytesCalls | None = None
    first: str = ""
    started: float | None = None
    run: str = ""
    evidence: tuple[Evidence, ...] = ()

    @property
    def overall(self) -> AuditTally:
        """Return the sum of all organizations."""
        return self.audited.overall()

    @property
    def exit_status(self) -> int:
        """0 if every row is readable and nothing is altered, 1 if something was found; signals have their own."""
        if self.interrupted_by:
            return status_when_interrupted(self.interrupted_by)
        is_answered = self.api is None or self.api.is_clean
        works = self.calls is None or self.calls.state != "fails"
        return 0 if self.overall.is_clean and not self.audited.unreadable_folders and is_answered and works else 1


# --- JSON ------------------------------------------------------------------------------------------------------------


def audit_as_json(report: AuditReport) -> str:
    """The document of ``--json``."""
    overall = report.overall
    return as_json(
        {
            "schema": SCHEMA,
            "command": "audit",
            "run": report.run,
            "from": str(report.source) if report.source is not None else None,
            "to": str(report.target),
            "database": report.database,
            "level": "content" if report.contents else "listing",
            "ages": report.ages or None,
            "seconds": round(report.seconds, 3),
            "interrupted_by": report.interrupted_by or None,
            "answer": " ".join(part for part in (report.first, answer_in_words(report)) if part),
            "organizations": [
                {"organization": row.organization, "bucket": row.bucket, **row.tally.as_dict()} for row in report.rows
            ],
            "totals": overall.as_dict(),
            "contents": {"proven": overall.proven.as_dict(), "failed": overall.failed.as_dict()}
            if report.contents
            else None,
            "unreadable_folders": report.audited.unreadable_folders,
            "api": _api_as_dict(report.api) if report.api is not None else None,
            "bytes_calls": report.calls.as_dict() if report.calls is not None else None,
            "findings": [finding.as_dict() for finding in report.findings],
            "problems": [problem.as_dict() for problem in report.audited.first_problems(PROBLEMS_OF_A_KIND)],
            "problems_total": report.audited.problems_total,
            "settings": [setting.as_dict() for setting in report.settings],
            "exit_status": report.exit_status,
        }
    )


def _api_as_dict(api: ApiAnswers) -> dict[str, object]:
    counts = {reply: Count() for reply in Reply}
    for answer in api.answered:
        counts[answer.reply].add(answer.size)
    return {
        "url": api.url,
        "sample": len(api.answered),
        "seed": api.seed,
        "replies": {reply.value: count.as_dict() for reply, count in counts.items()},
        "raw_files": [
            {
                "organization": answer.row.organization,
                "id": answer.row.raw_id,
                "reply": answer.reply.value,
                "status": answer.status or None,
                "bytes": answer.size,
                "reason": answer.reason,
            }
            for answer in api.answered[:PROBLEMS_OF_A_KIND]
        ],
    }


# --- text ------------------------------------------------------------------------------------------------------------


def audit_as_text(report: AuditReport, width: int | None = None) -> str:
    """What `audit` prints at its end."""
    return joined(audit_lines(report, width), width)


def answer_in_words(report: AuditReport) -> str:
    """The question that an audit answers first, in one line: what is known of where raw files are, and of what Bytes can do there."""
    tally = report.overall
    if report.source is None:
        return f"{_can(report)}; no other location was looked at."
    only = tally.elsewhere.files
    return f"{_can(report)}; {number(only)} {'is' if only == 1 else 'are'} only {_place(report.source, report.target)}."


def _can(report: AuditReport) -> str:
    tally, calls = report.overall, report.calls
    there, rows = number(tally.readable.files), plural(tally.rows.files, "raw file")
    if calls is None or calls.state == "works":
        return f"With these settings Bytes can read {there} of {rows}"
    found = f"With these settings Bytes looks where {there} of {rows} are"
    if calls.state == "fails":
        return f"{found}, and cannot read {number(calls.files_failing)} of them, for its own calls fail there"
    if report.api is not None and report.api.answered and report.api.is_clean:
        return (
            f"{found}, and the running Bytes answered for all {number(len(report.api.answered))} that it was asked for"
        )
    return f"{found}; whether it can read them there was not tried"


def _calls_sentence(calls: BytesCalls) -> str:
    if calls.state == "works":
        at = f", at {clock_time(calls.found_out)}" if calls.found_out is not None else ""
        return f"Bytes' own calls worked on {plural(calls.buckets, 'bucket')}{at}."
    if calls.state == "fails":
        return f"Bytes' own calls fail on {number(calls.fails)} of {plural(calls.buckets, 'bucket')}: see [bytes-calls] above."
    return (
        f"Bytes' own calls were not tried on {number(calls.buckets - calls.works)} of "
        f"{plural(calls.buckets, 'bucket')}, so whether it can read there is unknown: --probe tries them; --api asks a running Bytes."
    )


def _place(source: Location, target: Location) -> str:
    is_disk = isinstance(source, DiskLocation)
    if is_disk != isinstance(target, DiskLocation):
        return "on disk" if is_disk else "on S3"
    return f"at {shown(str(source))}"


def audit_lines(report: AuditReport, width: int | None = None) -> Iterator[str]:
    """Yield what it prints, for a terminal of so many columns."""
    if report.first:
        yield report.first
        yield ""
    yield answer_in_words(report)
    if report.interrupted_by:
        yield f"Stopped by {report.interrupted_by}: this is what was checked by then."
    yield ""
    yield f"checked   {shown(str(report.target))}"
    if report.source is not None:
        yield f"and       {shown(str(report.source))}"
    yield f"database  {shown(report.database)}"
    if report.ages:
        yield f"only      raw files whose scan ended {report.ages}"
    yield ""
    if report.rows:
        yield from _organization_table(report, width)
        yield ""
    yield from _problem_lines(report)
    yield from finding_lines(report.findings)
    yield from _last_sentences(report)


def columns_of_audit(report: AuditReport) -> list[str]:
    """Return the names of the counts that the report has a column for."""
    overall = report.overall
    rare = ("unhashed", "altered", "undecodable", "failed")
    contents = ("proven", "altered", "undecodable") if report.contents else ()
    always = ["readable", *(["closed"] if overall.closed.files else []), "elsewhere", "missing", "orphaned"]
    return always + [
        name for name in ("proven", *rare) if name in contents or (name in rare and getattr(overall, name).files)
    ]


def _organization_table(report: AuditReport, width: int | None) -> Iterator[str]:
    columns = columns_of_audit(report)

    def cells(tally: AuditTally) -> list[str]:
        return [number(count.files) for count in (tally.rows, *(getattr(tally, name) for name in columns))]

    head = ["rows", *("in place" if column == "readable" else column for column in columns)]
    yield from organization_table(head, report.rows, report.overall, cells, width)


def _problem_lines(report: AuditReport) -> Iterator[str]:
    """What needs a look, the gravest last: there the eye is when the output stops."""
    totals = totals_by_kind(report)
    where = "files.txt of --report lists all" if report.evidence else "--report DIR lists all"
    for kind, heading in HEADINGS.items():
        problems = report.audited.problems[kind]
        if not problems:
            continue
        yield f"{number(totals[kind])} {heading}"
        lines = (placed(problem.where, problem.reason) for problem in problems)
        yield from first_problems(lines, totals[kind], where, most=_PROBLEMS_SHOWN)
        yield ""


def totals_by_kind(report: AuditReport) -> dict[Kind, int]:
    """Return how many problems of each kind there are, listed one by one or not."""
    overall = report.overall
    counted = {kind: getattr(overall, kind.value).files for kind in Kind if hasattr(overall, kind.value)}
    return {kind: max(counted.get(kind, 0), len(report.audited.problems[kind])) for kind in Kind}


def measured_sentences(report: AuditReport) -> Iterator[str]:
    """Yield what is known besides where the raw files are: contents, the running Bytes, its calls."""
    tally = report.overall
    if report.contents:
        yield (
            f"Contents: {files(tally.proven.files)} ({size(tally.proven.bytes)}) are what Bytes recorded, "
            f"{number(tally.altered.files)} altered, {number(tally.undecodable.files)} undecodable, "
            f"{number(tally.unhashed.files)} without a digest, {number(tally.failed.files)} not read."
        )
    if report.api is not None:
        yield from _api_sentences(report.api)
    if report.calls is not None:
        yield _calls_sentence(report.calls)


def _last_sentences(report: AuditReport) -> Iterator[str]:
    took = duration(report.seconds)
    yield from measured_sentences(report)
    if report.interrupted_by:
        yield f"Nothing was written ({took})."
    elif report.exit_status == 0:
        proven = "" if report.contents else " Their contents were not looked at: --level content."
        yield f"Everything that the database names is there ({took}).{proven}"
    else:
        yield f"Bytes cannot read everything, or not as it was saved: see above ({took}). Nothing was written."


def _api_sentences(api: ApiAnswers) -> Iterator[str]:
    if not api.answered:
        yield f"Bytes at {shown(api.url)} was asked for nothing: there was no row to draw."
        return
    counts = Counter(answer.reply for answer in api.answered)
    yield (
        f"Bytes at {shown(api.url)} was asked for {plural(len(api.answered), 'raw file')} (--seed {api.seed}): "
        f"{number(counts[Reply.PROVEN])} came as recorded, {number(counts[Reply.UNHASHED])} came and have no digest, "
        f"{number(counts[Reply.ALTERED])} came altered, {number(counts[Reply.REFUSED])} were refused, "
        f"{number(counts[Reply.SILENT])} were not answered."
    )
