"""The measured as Markdown: goals and what was reached, then a table for each work."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.goals import PEERS, Verdict, verdicts
from tests.bench.tools import OURS
from tests.bench.turns import Row, Sample, Section

BEGIN, END = "<!-- scripts/bench writes below -->", "<!-- scripts/bench writes above -->"
SHORT: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("upload", OURS, {}),
    ("upload-seaweedfs", OURS, {}),
    ("latency", OURS, {}),
    ("download", OURS, {}),
    ("download-seaweedfs", OURS, {}),
    ("across", OURS, {}),
    ("two-servers", OURS, {}),
    ("verify", f"{OURS} --level content", {"rclone": "rclone check --download"}),
    ("verify-etag", f"{OURS} --level etag", {"rclone": "rclone check"}),
    ("noop", f"{OURS} with its ledger", {}),
    ("large-up", OURS, {}),
    ("large-down", OURS, {}),
)
"""Sections, whose row is ours, and which rows are the peers', where that is not all of them."""
COLUMNS = (
    "",
    "files/s (least to most)",
    "MB/s",
    "CPU µs a file",
    "peak MB",
    "requests a file",
    "rate of ours to it",
    "CPU a file of ours to it",
)


def document(sections: Sequence[Section], *, versions: Sequence[str], rounds: int, seconds: float) -> str:
    parts = [
        f"Measured by `scripts/bench` in {seconds / 60:.0f} minutes: {rounds} rounds, in turns, order rotated. Each figure is a whole "
        "command's, from start to exit, with the CPU of all its processes; medians, ratios within the same round.",
        f"Machine: {machine()}. " + "; ".join(versions) + ".",
        "## In short",
        "Files a second, each tool at its best setting; MB/s for a large file.",
        _markdown(("work", OURS, *PEERS, "rate of ours to the fastest"), list(_in_short(sections))),
        "## Goals",
        _markdown(("work", "measure", "goal", "reached", ""), [_goal(verdict) for verdict in verdicts(sections)]),
        *(part for section in sections for part in _section(section)),
    ]
    return "\n\n".join(parts) + "\n"


def _in_short(sections: Sequence[Section]) -> Iterator[tuple[str, ...]]:
    """A line for each work that peers do too."""
    for name, label, labels in SHORT:
        section = next((one for one in sections if one.name == name), None)
        ours = section.row(label) if section is not None else None
        if section is None or ours is None:
            continue
        rows = [section.row(labels[peer]) if peer in labels else None for peer in PEERS]
        if not labels:
            rows = [section.best(peer) for peer in PEERS]
        measure = (lambda sample: sample.megabytes_a_second) if name.startswith("large") else _rate
        there = [row for row in rows if row is not None]
        fastest = max(there, key=lambda row: row.median(_rate), default=None)
        told = [_short(row.median(measure)) if row is not None else "" for row in (ours, *rows)]
        extra = label.removeprefix(OURS)
        yield f"{section.title}{extra}", *told, _times(ours.ratio_to(fastest, _rate)) if fastest is not None else ""


def insert(text: str, generated: str) -> str:
    """Replace what stands between the marks; without marks, put it at the end."""
    if BEGIN not in text or END not in text:
        return f"{text.rstrip()}\n\n{BEGIN}\n\n{generated}\n{END}\n".lstrip()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{generated}\n{END}{after}"


def machine() -> str:
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    cores = f"{os.cpu_count()} × {names[0] if names else platform.machine()}"
    return f"{cores}, {memory / 2**20:.0f} GiB, {system}, Python {platform.python_version()}"


def _section(section: Section) -> list[str]:
    ours = section.rows[0]
    faults = [
        f"{row.label} failed {len(row.faults)} times: {row.faults[0][:200]}" for row in section.rows if row.faults
    ]
    rows = [_row(row, ours) for row in section.rows if row.good and _is_shown(section, row)]
    return [f"## {section.title}", section.note, _markdown(COLUMNS, rows), *faults]


def _is_shown(section: Section, row: Row) -> bool:
    """Whether a row is ours, a loop or a peer's best setting; rows that are no setting of one work are all shown."""
    settings = [other for other in section.rows if other.name == row.name and "--" in other.label]
    return row.name not in PEERS or len(settings) < 2 or "check" in row.label or row is section.best(row.name)


def _row(row: Row, ours: Row) -> tuple[str, ...]:
    least, most = row.spread(_rate)
    requests = row.good[0].requests_a_file
    is_other = row.name != OURS
    return (
        row.label,
        f"{_short(row.median(_rate))} ({_short(least)} to {_short(most)})",
        f"{row.median(lambda sample: sample.megabytes_a_second):,.0f}",
        f"{row.median(lambda sample: sample.cpu_us_a_file):,.0f}",
        f"{row.median(lambda sample: sample.used.peak) / 1e6:,.0f}",
        "" if requests is None else f"{requests:.3f}",
        _times(ours.ratio_to(row, _rate)) if is_other and ours.good else "",
        _times(ours.ratio_to(row, lambda sample: sample.cpu_us_a_file)) if is_other and ours.good else "",
    )


def _rate(sample: Sample) -> float:
    return sample.files_a_second


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _goal(verdict: Verdict) -> tuple[str, ...]:
    return verdict.work, verdict.measure, verdict.goal, verdict.reached, "yes" if verdict.is_met else "**no**"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
