"""An audit, kept for `report` and `status`: beside the ledgers, for an audit has none."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

from migrator.app.migrating import new_run_id
from migrator.core.errors import MigratorError
from migrator.ledger.audit_files import KeptAudit, keep_audit
from migrator.ledger.directory import StateFolder
from migrator.reports.formatting import marked
from migrator.reports.text.audit import AuditReport, answer_in_words, audit_as_json, audit_lines


def kept_for_report(state: StateFolder, report: AuditReport) -> AuditReport:
    """Keep it, and return it with its run; as it was where nothing can be kept, for an audit needs no state folder."""
    named = replace(report, run=new_run_id())
    audit = KeptAudit(
        run=named.run,
        started=named.started if named.started is not None else time.time() - named.seconds,
        seconds=named.seconds,
        target=str(named.target),
        database=named.database,
        exit_status=named.exit_status,
        answer=answer_in_words(named),
        lines=tuple(marked(audit_lines(named))),
        document=audit_as_json(named),
    )
    with suppress(MigratorError, OSError):
        keep_audit(state, audit)
        return named
    return report
