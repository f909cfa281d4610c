"""The report of an earlier run, from its ledger."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.core.errors import SettingsError
from migrator.core.notices import Problem
from migrator.ledger.audit_files import KeptAudit, kept_audit, kept_audits
from migrator.ledger.directory import StateFolder, is_running
from migrator.ledger.ledger import Ledger, ledgers_read
from migrator.ledger.record_codec import RunRow
from migrator.reports.formatting import shown
from migrator.reports.report import Report
from migrator.reports.stored_form import report_again

_READ_AT_ONCE = 5_000
_NAMED = 5


def run_of_audit(state: StateFolder, run_id: str | None) -> KeptAudit | None:
    """Return the audit with this id; without one, the last audit where it began after every run of a ledger.

    Raises:
        CannotStart: If a ledger cannot be read.
    """
    if run_id is not None:
        return kept_audit(state, run_id)
    audit = next(kept_audits(state, 1), None)
    return audit if audit is not None and audit.started >= _last_began(state) else None


def _last_began(state: StateFolder) -> float:
    began = 0.0
    for path in state.ledgers():
        ledger = Ledger.open_to_read(path)
        if ledger is not None:
            with ledger:
                began = max([began, *(run.started_at for run in ledger.runs(1))])
    return began


def report_of_run(state: StateFolder, run_id: str | None) -> Report:
    """Return the report of the run with this id, or of the last one. Writes nothing.

    Raises:
        SettingsError: If there is no such run.
        CannotStart: If a ledger cannot be read.
    """  # noqa: DOC501 made by _unknown
    known: list[RunRow] = []
    for ledger in ledgers_read(state.ledgers()):
        if run_id is not None and (run := ledger.run(run_id)) is not None:
            return _report(ledger, run)
        known += ledger.runs(_NAMED)
    known.sort(key=lambda run: run.started_at, reverse=True)
    if run_id is not None or not known:
        raise _unknown(run_id, known)
    return report_of_run(state, known[0].run_id)


def _report(ledger: Ledger, run: RunRow) -> Report:
    return report_again(
        run,
        ledger.report(run.run_id) or {},
        _problems(ledger, run.run_id),
        ledger.problem_counts(run.run_id),
        is_running=run.ended_at is None and is_running(ledger.path),
    )


def _problems(ledger: Ledger, run_id: str) -> Iterator[Problem]:
    """All that were kept, some at a time."""
    offset = 0
    while found := ledger.problems(run_id, _READ_AT_ONCE, offset):
        yield from found
        offset += len(found)


def _unknown(run_id: str | None, known: list[RunRow]) -> SettingsError:
    if not known:
        return SettingsError(
            "run-unknown",
            "No run has been recorded here yet." if run_id is None else f"There is no run {shown(run_id)} here.",
            why="The state folder has no ledger with a run.",
            cure="Name the state folder of the user who migrated with --state-dir.",
        )
    return SettingsError(
        "run-unknown",
        f"There is no run {shown(run_id or '')} in the ledgers here.",
        cure=f"The last ones are: {', '.join(run.run_id for run in known[:_NAMED])}. `status` shows more.",
    )
