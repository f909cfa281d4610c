"""Runs in turns: each tool once a round, the order rotated from round to round, so that no tool always has the same neighbour."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.measure import Used, run
from tests.bench.servers import Sink


@dataclass(frozen=True)
class Attempt:
    """What to run, how much it moves, and how to see whether it did: `check` gives what is wrong, or nothing."""

    argv: Sequence[str]
    env: Mapping[str, str]
    files: int
    bytes: int
    check: Callable[[Used], str] = lambda used: ""
    after: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Sample:
    used: Used
    files: int
    bytes: int
    requests: int | None

    @property
    def files_a_second(self) -> float:
        return self.files / self.used.wall

    @property
    def megabytes_a_second(self) -> float:
        return self.bytes / self.used.wall / 1e6

    @property
    def cpu_us_a_file(self) -> float:
        return self.used.cpu / self.files * 1e6


@dataclass
class Row:
    """One tool with one setting, round by round; None for a round in which it failed, with the reason in `faults`."""

    label: str
    samples: list[Sample | None] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.label.split(" ", maxsplit=1)[0]

    @property
    def good(self) -> list[Sample]:
        return [sample for sample in self.samples if sample is not None]

    def median(self, value: Callable[[Sample], float]) -> float:
        return statistics.median(map(value, self.good))

    def spread(self, value: Callable[[Sample], float]) -> tuple[float, float]:
        values = list(map(value, self.good))
        return min(values), max(values)

    def ratio_to(self, other: Row, value: Callable[[Sample], float]) -> float | None:
        """The median of the ratios within each round, in which both had the same conditions."""
        pairs = [(a, b) for a, b in zip(self.samples, other.samples, strict=False) if a is not None and b is not None]
        ratios = [value(a) / value(b) for a, b in pairs if value(b)]
        return statistics.median(ratios) if ratios else None


@dataclass(frozen=True)
class Section:
    """A table: what was done, and the rows of all tools. Ours come first."""

    name: str
    title: str
    note: str
    rows: list[Row]

    def row(self, label: str) -> Row | None:
        return next((row for row in self.rows if row.label == label and row.good), None)

    def best(self, name: str) -> Row | None:
        """A tool's best setting."""
        return max((row for row in self.rows if row.name == name and row.good), key=_rate, default=None)

    def fastest(self, names: Sequence[str]) -> Row | None:
        return max((row for row in map(self.best, names) if row is not None), key=_rate, default=None)


def _rate(row: Row) -> float:
    return row.median(lambda sample: sample.files_a_second)


class Turns:
    def __init__(self, launcher: Path, home: Path, rounds: int, say: Callable[[str], None]) -> None:
        self._launcher = launcher
        self._home = home
        self._rounds = rounds
        self._say = say

    def take(self, prepared: Mapping[str, Callable[[], Attempt]], sink: Sink | None = None) -> list[Row]:
        """Each attempt is prepared just before it runs: it gets places that nobody has used."""
        rows = [Row(label) for label in prepared]
        for number in range(self._rounds):
            start = number * max(1, len(rows) // self._rounds) % len(rows)
            for row in rows[start:] + rows[:start]:
                self._one(row, prepared[row.label](), sink)
        return rows

    def _one(self, row: Row, attempt: Attempt, sink: Sink | None) -> None:
        os.sync()  # what the last one wrote is not this one's burden
        before = sink.counts()["requests"] if sink else 0
        used = run(self._launcher, attempt.argv, {**self._environment(), **attempt.env}, self._home)
        requests = sink.counts()["requests"] - before if sink else None
        fault = f"status {used.status}: {_last_line(used)}" if used.status else attempt.check(used)
        attempt.after()
        row.samples.append(None if fault else Sample(used, attempt.files, attempt.bytes, requests))
        if fault:
            row.faults.append(fault)
        self._say(f"  {row.label:34} {used.wall:8.2f} s  {used.cpu:8.2f} s of CPU  {fault[:300]}")

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._home),
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(self._home),
        }


def _last_line(used: Used) -> str:
    lines = [line for line in (used.errors + used.output).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "nothing said"
