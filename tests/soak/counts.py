"""What the trials of reliability have counted so far: each go adds a line to a file, and the page says what they come to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

FIRST_SEED = 26
BEGIN, END = "<!-- scripts/reliability begins -->", "<!-- scripts/reliability ends -->"


@dataclass(frozen=True)
class Goal:
    """`unit` says what is counted, and `least` how many of them it takes; without a unit only the last go counts."""

    title: str
    wanted: str
    unit: str = ""
    least: int = 1


@dataclass(frozen=True)
class Go:
    """One go of a trial. `said` is what there is to say beside the counts; `commit` is the program that was tried."""

    goal: str
    tried: int
    wrong: int
    said: str = ""
    seed: int = 0
    date: str = ""
    commit: str = ""


class Counts:
    """The goes so far, oldest first, kept as one JSON object a line. A path of None keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.goes: list[Go] = []
        if path is not None and path.exists():
            self.goes = [Go(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]

    def add(self, part: Go) -> Go:
        """Keep a go, or a part of one, at once: the rest may be killed. Returns the go so far.

        Parts of one go have the same goal, seed and commit; the last part's `said` stays.
        """
        known = [number for number, one in enumerate(self.goes) if _is_same_go(one, part)]
        go = part
        if known:
            before = self.goes.pop(known[0])
            go = replace(part, tried=before.tried + part.tried, wrong=before.wrong + part.wrong)
        self.goes.append(go)
        if self._path is not None:
            text = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in self.goes)
            fresh = self._path.with_name(f"{self._path.name}.new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self._path)
        return go

    def tried(self, goal: str) -> int:
        """How many were tried for this goal since the last go with a fault."""
        return sum(go.tried for go in _since_last_fault([go for go in self.goes if go.goal == goal]))

    def next_seed(self, goals: Iterable[str]) -> int:
        """A seed that none of these goals has been tried with."""
        wanted = set(goals)
        return max((go.seed for go in self.goes if go.goal in wanted), default=FIRST_SEED - 1) + 1


def _is_same_go(one: Go, other: Go) -> bool:
    return (one.goal, one.seed, one.commit) == (other.goal, other.seed, other.commit)


def _since_last_fault(goes: list[Go]) -> list[Go]:
    faulty = [number for number, go in enumerate(goes) if go.wrong]
    return goes[faulty[-1] + 1 :] if faulty else goes


def table(goals: Mapping[str, Goal], goes: Iterable[Go]) -> str:
    """The page's table, one row for each goal that was measured, and the names of the others."""
    by_goal: dict[str, list[Go]] = {name: [] for name in goals}
    for go in goes:
        by_goal[go.goal].append(go)
    rows = [
        f"| {goal.title} | {goal.wanted} | {' | '.join(_reached(goal, by_goal[name]))} |"
        for name, goal in goals.items()
        if by_goal[name]
    ]
    others = "; ".join(goal.title for name, goal in goals.items() if not by_goal[name])
    lines = ["| goal | wanted | measured | met |", "|---|---|---|---|", *rows, ""]
    return "\n".join([*lines, f"Not measured yet: {others}.", ""] if others else lines)


def _reached(goal: Goal, goes: list[Go]) -> tuple[str, str]:
    """What the goes come to, and whether the goal is met. After a go with a fault, counting begins anew with the next one."""
    last = goes[-1]
    if not goal.unit:
        return f"{last.said}, {last.date}", "**no**" if last.wrong else "yes"
    faulty = [number for number, go in enumerate(goes) if go.wrong]
    if faulty and faulty[-1] == len(goes) - 1:
        return f"{last.wrong} wrong of {last.tried:,} {goal.unit}, {last.date}{_more(last)}", "**no**"
    since = _since_last_fault(goes)
    tried = sum(go.tried for go in since)
    said = f"0 wrong of {tried:,} {goal.unit}, {_when(since)}{_more(last)}"
    if faulty:
        before = goes[faulty[-1]]
        said += f"; {before.wrong} wrong of {before.tried:,} on {before.date}, mended since"
    return said, "yes" if tried >= goal.least else f"not yet: {goal.least:,}"


def _when(goes: list[Go]) -> str:
    first, last = goes[0].date, goes[-1].date
    dates = first if first == last else f"{first} to {last}"
    return dates if len(goes) == 1 else f"{len(goes)} goes, {dates}"


def _more(go: Go) -> str:
    return f" ({go.said})" if go.said else ""


def insert(text: str, document: str) -> str:
    """Put the table between the page's marks, or at the end of a page without them."""
    if BEGIN not in text:
        return f"{text.rstrip()}\n\n{BEGIN}\n{document}{END}\n"
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{document}{END}{rest.partition(END)[2]}"
