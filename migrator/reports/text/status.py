"""What the ledgers tell of the last runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from migrator.core.notices import Problem
from migrator.core.outcomes import Outcome
from migrator.ledger.audit_files import KeptAudit
from migrator.ledger.directory import StateFolder, is_running
from migrator.ledger.ledger import Ledger, ledgers_read
from migrator.ledger.record_codec import RunRow
from migrator.reports.formatting import clock_time, duration, files, number, plural, shown, size
from migrator.reports.report import SCHEMA
from migrator.reports.stored_form import forced_in
from migrator.reports.text.run_summary import COUNTED_BY_REASON, REASONS_SHOWN, problem_line
from migrator.reports.text.switch import story_as_dict
from migrator.reports.text.wrapping import joined
from migrator.switch.journal import Story
from migrator.sync.totals import GRAVEST_FIRST, reason_of

DEFAULT_PROBLEMS = 20
_LOOKED_AT = 20_000
"""Problems of a run; the gravest of these come first. Kept in the order in which the run met them."""


_NOUNS = ("conflict", "stray")
"""Kinds of problems that are counted as things; the others say how a raw file is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairStatus:
    """The runs between one pair of locations, newest first; of the newest the problems, and the names of forced findings.

    `reasons`: of each kind that is counted and not listed, the reasons most often met; empty where all kinds are listed.
    """

    source: str
    target: str
    ledger: str
    is_running: bool
    runs: tuple[RunRow, ...]
    problems: tuple[Problem, ...]
    problem_counts: dict[str, int]
    forced: tuple[str, ...] = ()
    reasons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_status(state: StateFolder, *, runs: int, problems: int | None) -> tuple[PairStatus, ...]:
    """Return all pairs of locations that have a ledger, with so many problems; None: the first 20 that need a look. Writes nothing.

    Raises:
        CannotStart: If a ledger cannot be read.
    """
    found = []
    for ledger in ledgers_read(state.ledgers()):
        rows = tuple(ledger.runs(runs))
        if rows:
            newest = rows[0]
            listed, reasons = _gravest(ledger, newest.run_id, problems)
            found.append(
                PairStatus(
                    source=newest.source,
                    target=newest.target,
                    ledger=str(ledger.path),
                    is_running=is_running(ledger.path),
                    runs=rows,
                    problems=listed,
                    reasons=reasons,
                    problem_counts=ledger.problem_counts(newest.run_id),
                    forced=forced_in(ledger.report(newest.run_id) or {}),
                )
            )
    return tuple(sorted(found, key=lambda pair: pair.runs[0].started_at, reverse=True))


def _gravest(ledger: Ledger, run_id: str, limit: int | None) -> tuple[tuple[Problem, ...], dict[str, tuple[str, ...]]]:
    """The first problems of the run, conflicts and failures before strays, and the reasons of the kinds that are not listed."""
    if limit == 0:
        return (), {}
    found = ledger.problems(run_id, limit=max(limit or 0, _LOOKED_AT))
    found.sort(key=lambda problem: rank(problem.kind))
    if limit is not None:
        return tuple(found[:limit]), {}
    listed = [problem for problem in found if problem.kind not in COUNTED_BY_REASON]
    counted: dict[str, Counter[str]] = {}
    for problem in found:
        if problem.kind in COUNTED_BY_REASON:
            counted.setdefault(problem.kind, Counter())[reason_of(problem)] += 1
    often = {kind: tuple(reason for reason, _ in each.most_common(REASONS_SHOWN)) for kind, each in counted.items()}
    return tuple(listed[:DEFAULT_PROBLEMS]), often


def rank(kind: str) -> int:
    """The place of a kind of problem, the gravest first; a kind that is not in the list needs a look too."""
    return GRAVEST_FIRST.index(kind) if kind in GRAVEST_FIRST else -1


def status_as_dict(
    pairs: tuple[PairStatus, ...], switch: Story | None = None, audits: Sequence[KeptAudit] = ()
) -> dict[str, object]:
    """Return the document of ``status --json``; `switch` is the last one, None where there was none."""
    return {
        "schema": SCHEMA,
        "command": "status",
        "pairs": [_pair_as_dict(pair) for pair in pairs],
        "switch": story_as_dict(switch) if switch is not None else None,
        "audits": [
            {
                "run": one.run,
                "to": one.target,
                "database": one.database,
                "started": clock_time(one.started),
                "seconds": round(one.seconds, 3),
                "exit_status": one.exit_status,
                "answer": one.answer,
            }
            for one in audits
        ],
    }


def audit_status_lines(audits: Sequence[KeptAudit]) -> Iterator[str]:
    """Yield what `status` says of the last audits, newest first."""
    if audits:
        yield ""
        yield "Audits of Bytes' database"
    for one in audits:
        yield f"  {clock_time(one.started)}  {shown(one.target)}: {one.answer}  [{one.run}]"


def _pair_as_dict(pair: PairStatus) -> dict[str, object]:
    return {
        "from": pair.source,
        "to": pair.target,
        "ledger": pair.ledger,
        "running": pair.is_running,
        "runs": [_run_as_dict(run, is_running=pair.is_running and run is pair.runs[0]) for run in pair.runs],
        "problems": [problem.as_dict() for problem in pair.problems],
        "problems_total": sum(pair.problem_counts.values()),
        "problems_by_kind": pair.problem_counts,
        "forced": list(pair.forced),
    }


def _run_as_dict(run: RunRow, *, is_running: bool) -> dict[str, object]:
    return {
        "run": run.run_id,
        "command": run.command,
        "state": state_of(run, is_running=is_running),
        "started": clock_time(run.started_at),
        "ended": clock_time(run.ended_at) if run.ended_at is not None else None,
        "exit_status": run.exit_status,
        "totals": _overall(run),
        "expected": _expected(run),
        "seconds_left": _seconds_left(run) if is_running else None,
    }


def _expected(run: RunRow) -> dict[str, object] | None:
    """What counting ahead has found at the source; None where nobody counted."""
    if run.expected is None:
        return None
    count, size_, is_final = run.expected
    return {"files": count, "bytes": size_, "is_final": is_final}


def _seconds_left(run: RunRow) -> int | None:
    """By files or by bytes at the rate so far, whichever takes longer."""
    if run.expected is None or run.progress_at is None:
        return None
    done = _overall(run).get("discovered", {"files": 0, "bytes": 0})
    took = run.progress_at - run.started_at
    pairs = ((done["files"], run.expected[0]), (done["bytes"], run.expected[1]))
    if took <= 0 or not done["files"] or any(total and not had for had, total in pairs):
        return None
    return round(max(took * max(0, total - had) / had for had, total in pairs if had))


def state_of(run: RunRow, *, is_running: bool) -> str:
    """'running', 'killed' (it ended without a word), or how it ended."""
    if run.ended_at is None:
        return "running" if is_running else "killed"
    return {0: "finished", 1: "finished with problems"}.get(run.exit_status or 0, "stopped")


def status_as_text(pairs: tuple[PairStatus, ...], width: int | None = None) -> str:
    """Return the last runs of each pair of locations, wrapped to `width` columns."""
    if not pairs:
        return "No run has been recorded here yet. Begin with: bytes-migrator plan --to s3"
    return "\n\n".join(joined(_pair_lines(pair), width) for pair in pairs)


def _pair_lines(pair: PairStatus) -> Iterator[str]:
    yield f"from  {shown(pair.source)}"
    yield f"to    {shown(pair.target)}"
    for run in pair.runs:
        yield _run_line(run, is_running=pair.is_running and run is pair.runs[0])
        if pair.is_running and run is pair.runs[0] and run.ended_at is None:
            yield from _left_lines(run)
    if pair.runs[0].ended_at is None and not pair.is_running:
        yield "  The last run was interrupted. Rerun the same command to resume."
    if pair.forced:
        yield f"  forced, or not checked: {', '.join(map(shown, pair.forced))} (`bytes-migrator report` says what that leaves open)"
    for kind, count in sorted(pair.problem_counts.items(), key=lambda each: rank(each[0])):
        reasons = "; ".join(map(shown, pair.reasons.get(kind, ())))
        counted = plural(count, kind) if kind in _NOUNS else f"{number(count)} {kind}"
        yield f"  {counted}: {reasons} (--problems {count} lists each)" if reasons else f"  {counted}"
    for problem in pair.problems:
        yield f"    {problem.kind}: {problem_line(problem)}"
    listed = sum(count for kind, count in pair.problem_counts.items() if kind not in pair.reasons)
    hidden = listed - len(pair.problems)
    if hidden > 0:
        yield f"    … and {number(hidden)} more: --problems N shows N of them"


def _run_line(run: RunRow, *, is_running: bool) -> str:
    totals = _overall(run)
    done = ", ".join(
        f"{number(totals[outcome.value]['files'])} {outcome.value}"
        for outcome in Outcome
        if totals.get(outcome.value, {}).get("files")
    )
    if run.command == "prune":
        done = ", ".join(f"{number(totals.get(name, {}).get('files', 0))} {name}" for name in ("deleted", "kept"))
    end = run.ended_at if run.ended_at is not None else run.progress_at
    took = f" in {duration(end - run.started_at)}" if end is not None else ""
    discovered = totals.get("discovered", {"files": 0, "bytes": 0})
    seen = f"{files(discovered['files'])}, {size(discovered['bytes'])}"
    state = state_of(run, is_running=is_running)
    return f"  {clock_time(run.started_at)}  {run.command} {state}{took}: {seen}{': ' if done else ''}{done}  [{run.run_id}]"


def _left_lines(run: RunRow) -> Iterator[str]:
    """How far a run is that is under way."""
    if run.expected is None:
        return
    count, size_, is_final = run.expected
    done = _overall(run).get("discovered", {"files": 0, "bytes": 0})
    total, sign = max(count, done["files"]), "" if is_final else "≥"
    share = f"{100 * done['files'] // total} %" if total and is_final else "counting"
    left = _seconds_left(run)
    until = f", about {duration(left)} left" if left is not None and is_final else ""
    total_bytes = size(max(size_, done["bytes"]))
    yield f"    {share}: {number(done['files'])} of {sign}{files(total)}, {size(done['bytes'])} of {sign}{total_bytes}{until}"


def _overall(run: RunRow) -> dict[str, dict[str, int]]:
    overall: dict[str, dict[str, int]] = {}
    for totals in run.totals.values():
        for name, count in totals.items():
            sums = overall.setdefault(name, {"files": 0, "bytes": 0})
            sums["files"] += count["files"]
            sums["bytes"] += count["bytes"]
    return overall
