"""The pictures of the page as numbers: what the template draws as SVG. Pure; no drawing happens here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator.core.tally import Count, Shape
from migrator.reports.formatting import duration, number, shown, size
from migrator.reports.json import months_of
from migrator.reports.report import Report

BARS_SHOWN = 15
_MOST_MONTHS = 48
_LABELS = 8


@dataclass(frozen=True, slots=True)
class ChartBar:
    """A bar of one or two layers. `share` and `second` are parts of the longest bar, from 0 to 1; `label` is empty where none fits."""

    name: str
    label: str
    value: str
    share: float
    second: float = 0.0


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars beside each other, or below each other, with a title and what a reader who sees nothing is told.

    `has_errors`: the second layer of the bars is errors.
    """

    title: str
    summary: str
    bars: tuple[ChartBar, ...]
    highest: str = ""
    legend: tuple[str, ...] = ()
    has_errors: bool = False


def by_organization(rows: Sequence[tuple[str, Count]]) -> tuple[Chart, ...]:
    """The largest organizations by bytes, and by files; nothing for a single one, which the table has already."""
    return (_ranked(rows, "bytes"), _ranked(rows, "files")) if len(rows) > 1 else ()


def of_run(report: Report) -> tuple[Chart, ...]:
    """What a run knows of sizes, times and speed; a report whose ledger does not have it has no such chart."""
    shape, steps = report.totals.shape, report.totals.course.steps
    found = []
    if shape.sizes and report.command != "verify":
        found += [sizes(report), months(report)]
    if len(steps) > 1 and not report.dry_run:
        found.append(course(report))
    return tuple(found)


def _ranked(rows: Sequence[tuple[str, Count]], unit: str) -> Chart:
    words = size if unit == "bytes" else number

    def amount(row: tuple[str, Count]) -> int:
        return int(getattr(row[1], unit))

    ranked = [row for row in sorted(rows, key=lambda row: (-amount(row), row[0])) if amount(row)]
    most = amount(ranked[0]) if ranked else 1
    bars = tuple(ChartBar(shown(row[0]), "", words(amount(row)), amount(row) / most) for row in ranked[:BARS_SHOWN])
    rest = sum(map(amount, ranked[BARS_SHOWN:]))
    if rest:
        bars += (ChartBar(f"{number(len(ranked) - BARS_SHOWN)} others together", "", words(rest), 0.0),)
    summary = "; ".join(f"{bar.name}: {bar.value}" for bar in bars[:3])
    return Chart(f"{unit.capitalize()} for each organization", summary or "no raw files", bars)


def sizes(report: Report) -> Chart:
    """How many raw files are how large: a bar for each power of two; the second layer is what was, or would be, copied."""
    shape = report.totals.shape
    digits = range(max(shape.sizes) + 1) if shape.sizes else range(0)
    most = max(shape.sizes.values(), default=0)
    every = -(-len(digits) // _LABELS) if digits else 1
    bars = tuple(
        ChartBar(
            _sizes_of(digit),
            _power(digit) if digit % every == 0 else "",
            number(shape.sizes[digit]),
            shape.sizes[digit] / most,
            shape.moved[digit] / most,
        )
        for digit in digits
    )
    middle = _median_digits(shape)
    summary = (
        f"half of the {number(sum(shape.sizes.values()))} files are smaller than {_power(middle + 1)}"
        if middle is not None
        else "no files"
    )
    moved = "would be copied" if report.dry_run else "copied"
    return Chart("Sizes of raw files", summary, bars, number(most), ("all", moved))


def months(report: Report) -> Chart:
    """Raw files by the month in which they were last changed."""
    by_month = months_of(report.totals.shape)
    found = [(str(each["month"]), int(str(each["files"]))) for each in by_month if each["month"]]
    left_out = len(found) - _MOST_MONTHS
    found = found[-_MOST_MONTHS:]
    most = max((count for _, count in found), default=0)
    every = -(-len(found) // _LABELS) if found else 1
    bars = tuple(
        ChartBar(month, month if index % every == 0 else "", number(count), count / most)
        for index, (month, count) in enumerate(found)
    )
    if len(found) == 1:
        return Chart("Files by month of their last change", f"all {number(most)} in {found[0][0]}", ())
    summary = f"from {found[0][0]} to {found[-1][0]}" if found else "no files"
    more = f", and {number(left_out)} months before" if left_out > 0 else ""
    return Chart("Files by month of their last change", summary + more, bars, number(most))


def course(report: Report) -> Chart:
    """What was done over the run's time: raw files a second; the second layer are errors."""
    seconds, steps = report.totals.course.seconds_per_step, report.totals.course.steps
    most = max((step.files for step in steps), default=0)
    every = -(-len(steps) // _LABELS) if steps else 1
    bars = tuple(
        ChartBar(
            f"after {duration(index * seconds)}",
            duration(index * seconds) if index % every == 0 else "",
            f"{step.files / seconds:,.0f} files/s, {size(step.bytes / seconds)}/s"
            + (f", {number(step.errors)} errors" if step.errors else ""),
            step.files / most if most else 0.0,
            step.errors / most if most else 0.0,
        )
        for index, step in enumerate(steps)
    )
    errors = sum(step.errors for step in steps)
    summary = f"at most {most / seconds:,.0f} files a second; {number(errors)} errors"
    return Chart(
        "Files a second over the time of the run",
        summary,
        bars,
        f"{most / seconds:,.0f}/s",
        ("looked at", "errors"),
        has_errors=True,
    )


def _median_digits(shape: Shape) -> int | None:
    half = sum(shape.sizes.values()) / 2
    seen = 0
    for digits in sorted(shape.sizes):
        seen += shape.sizes[digits]
        if seen >= half and seen:
            return digits
    return None


def _sizes_of(digits: int) -> str:
    return "empty" if digits == 0 else f"{_power(digits)} to {_power(digits + 1)}"


def _power(digits: int) -> str:
    """The smallest size with so many binary digits, in the units in which powers of two are round."""
    if digits == 0:
        return "0"
    value = 1 << (digits - 1)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            return f"{value} {unit}"
        value >>= 10
    return f"{value} PiB"
