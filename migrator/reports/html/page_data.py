"""What a page shows, as values: every command's report becomes one of these, and the template draws it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator import __version__
from migrator.config.env_file import Setting
from migrator.core.errors import MigratorError
from migrator.core.findings import Finding
from migrator.core.notices import Problem
from migrator.doctor.finding_shorthands import failed
from migrator.reports.estimate import Estimate
from migrator.reports.formatting import number
from migrator.reports.html.charts import Chart
from migrator.reports.report import Evidence, Stopped

GOOD, BAD, TODO, FINE = "good", "bad", "todo", "fine"
"""The tones: well; needs the operator; not done yet; neither good nor bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One of the large numbers below the verdict."""

    name: str
    files: int
    bytes: int
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRow:
    """An organization's line of the table. `counts` stand below the page's `columns`; `state` says in words how it is."""

    organization: str
    bucket: str | None
    state: str
    tone: str
    files: int
    bytes: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of all raw files: the parts add up to the total. `share` is its width in a bar, from 0 to 1."""

    name: str
    files: int
    share: float
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemSection:
    """The problems of one kind: how many there are, by reason, and the first of them. `next` says what becomes of them."""

    kind: str
    title: str
    total: int
    problems: tuple[Problem, ...]
    next: str = ""
    groups: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A whole page.

    `ends` are names and places. `heading` is the verdict in one sentence, `lines` what follows it. `total` is the table's last line.
    `remark` explains the columns beside the total. `stopped` is the error that ended the run. `about` are terms and values.
    """

    title: str
    command: str
    started: str
    seconds: float
    ends: tuple[tuple[str, str], ...]
    tone: str
    heading: str
    lines: tuple[str, ...]
    figures: tuple[Figure, ...]
    columns: tuple[str, ...]
    rows: tuple[PageRow, ...]
    total: PageRow
    total_name: str
    parts: tuple[Part, ...]
    sections: tuple[ProblemSection, ...]
    problems_total: int
    findings: tuple[Finding, ...]
    charts_across: tuple[Chart, ...]
    about: tuple[tuple[str, str], ...]
    evidence: tuple[Evidence, ...]
    run: str = ""
    version: str = __version__
    remark: str = ""
    stopped: Finding | None = None
    charts_up: tuple[Chart, ...] = ()
    charts_remark: str = ""
    next_steps: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    estimate: Estimate | None = None
    buckets_to_create: tuple[str, ...] = ()

    @property
    def has_buckets(self) -> bool:
        """Whether a column for buckets says more than the line `to` does."""
        return len({row.bucket for row in self.rows}) > 1

    @property
    def listed(self) -> int:
        """Return how many problems the page names one by one."""
        return sum(len(section.problems) for section in self.sections)


def finding_of(error: MigratorError | Stopped | None) -> Finding | None:
    """Return what ended a run as the page shows it; None where nothing did."""
    if error is None:
        return None
    return failed(error.name, error.what, error.why, error.cure)


def parts_of(counts: Sequence[tuple[str, int, str]]) -> tuple[Part, ...]:
    """Return the parts of these names, counts and tones that are not empty; the smallest is wide enough to be seen."""
    found = [(name, count, tone) for name, count, tone in counts if count]
    total = sum(count for _, count, _ in found)
    widths = [max(0.006, count / total) for _, count, _ in found]
    return tuple(
        Part(name=name, files=count, share=width / sum(widths), tone=tone)
        for (name, count, tone), width in zip(found, widths, strict=True)
    )


def gravest(states: Sequence[tuple[int, str, str]]) -> tuple[str, str] | None:
    """Return words and tone of the first of these counts that is not 0, the number before the words; None where all are 0."""
    return next(((f"{number(count)} {words}", tone) for count, words, tone in states if count), None)
