"""The measured as Markdown: goals and what was reached, then the figures of each tool."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Sequence
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
COLUMNS = ("tool", "files/s (least–most)", "CPU µs a file", "peak MB", "ours: rate", "ours: CPU")


def document(sections: Sequence[Section], *, versions: Sequence[str], rounds: int, seconds: float) -> str:
    parts = [
        f"Measured in {seconds / 60:.0f} minutes, in {rounds} rounds: medians, with the CPU of all processes; ratios within a round.",
        f"Machine: {machine()}. " + "; ".join(versions) + ".",
        "## In short",
        "Files a second, each tool at its best setting; MB/s for a large file.",
        _markdown(("work", OURS, *PEERS, "rate of ours to the fastest"), list(_in_short(sections))),
        "## Missed goals",
        *_missed(verdicts(sections)),
        "## Measured",
        f"Files are in the page cache. Large files: MB/s. The last columns compare ours with that tool. {_of_aws(sections)}",
        _markdown(COLUMNS, [row for section in sections for row in _rows_of(section)]),
        *(fault for section in sections for fault in _faults_of(section)),
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
        measure = _measure_of(section)
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


def _rows_of(section: Section) -> Iterator[tuple[str, ...]]:
    """What was done, and a row for each tool."""
    ours = section.rows[0]
    yield f"**{section.title}**: {section.note}", *[""] * (len(COLUMNS) - 1)
    yield from (_row(section, row, ours) for row in section.rows if row.good and _is_shown(section, row))


def _of_aws(sections: Sequence[Section]) -> str:
    """How many times as fast as aws ours is, in one sentence: it is far behind with small files."""
    ratios: dict[bool, list[float]] = {True: [], False: []}
    for section in sections:
        row = section.row("aws")
        ratio = section.rows[0].ratio_to(row, _rate) if row is not None and row.good else None
        if ratio is not None:
            ratios[section.name.startswith("large")].append(ratio)
    said = [
        f"{min(found):.2f} to {max(found):.2f} of aws' with {'large' if is_large else 'small'} files"
        for is_large, found in ratios.items()
        if found
    ]
    return f"Its rate is {', '.join(said)}." if said else ""


def _faults_of(section: Section) -> list[str]:
    return [
        f"{section.title}: {row.label} failed {len(row.faults)} times: {row.faults[0][:200]}"
        for row in section.rows
        if row.faults
    ]


def _is_shown(section: Section, row: Row) -> bool:
    """Whether a row is ours, a loop or a peer's best setting; rows that are no setting of one work are all shown. aws has a sentence."""
    settings = [other for other in section.rows if other.name == row.name and "--" in other.label]
    if row.name == "aws":
        return False
    return row.name not in PEERS or len(settings) < 2 or "check" in row.label or row is section.best(row.name)


def _row(section: Section, row: Row, ours: Row) -> tuple[str, ...]:
    measure = _measure_of(section)
    least, most = row.spread(measure)
    is_other = row.name != OURS
    return (
        row.label,
        f"{_short(row.median(measure))} ({_short(least)}–{_short(most)})",
        f"{row.median(lambda sample: sample.cpu_us_a_file):,.0f}",
        f"{row.median(lambda sample: sample.used.peak) / 1e6:,.0f}",
        _times(ours.ratio_to(row, _rate)) if is_other and ours.good else "",
        _times(ours.ratio_to(row, lambda sample: sample.cpu_us_a_file)) if is_other and ours.good else "",
    )


def _measure_of(section: Section) -> Callable[[Sample], float]:
    """Files a second, but of large files megabytes."""
    return (lambda sample: sample.megabytes_a_second) if section.name.startswith("large") else _rate


def _rate(sample: Sample) -> float:
    return sample.files_a_second


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _missed(found: Sequence[Verdict]) -> Iterator[str]:
    """How many goals are met, and a row for each other one; the work is named once."""
    missed = [verdict for verdict in found if not verdict.is_met]
    yield f"{len(found) - len(missed)} of {len(found)} goals are met."
    rows, before = list[tuple[str, ...]](), ""
    for verdict in missed:
        work = "" if verdict.work == before else verdict.work
        rows.append((work, verdict.measure, verdict.goal, verdict.reached))
        before = verdict.work
    if rows:
        yield _markdown(("work", "measure", "goal", "reached"), rows)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
