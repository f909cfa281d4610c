"""A ledger that breaks in mid-run: what broke is told, and the run's report is given all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.app.first_checks import prepare_to_migrate
from migrator.app.migrating import migrate
from migrator.app.options import EngineName, Options
from migrator.app.run_memory import ProofRecord
from migrator.app.stopping import Stopping
from migrator.config.locations import DiskLocation, Locations
from migrator.core.errors import MigratorError, MustStop
from migrator.doctor.bytes_user import BytesUser
from migrator.ledger.directory import StateFolder
from migrator.ledger.ledger import Ledger
from migrator.reports.report import Report
from migrator.sync.totals import Totals
from tests import corpus


def full(what: str) -> MustStop:
    return MustStop("ledger-unwritable", f"The disk is full: {what}.")


def break_at(monkeypatch: pytest.MonkeyPatch, *methods: str) -> None:
    """From now on these methods of the ledger find no room."""
    for method in methods:

        def fails(*_: object, method: str = method, **__: object) -> None:
            raise full(method)

        monkeypatch.setattr(Ledger, method, fails)


def test_the_report_of_a_run_whose_ledger_broke_is_given_with_what_broke_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.make_store(tmp_path / "from", {"alpha": 5}, sizes=20)
    here, there = (DiskLocation(root=tmp_path / name, folder_mode=0o740, file_mode=0o640) for name in ("from", "to"))
    locations = Locations(source=here, target=there, settings=(), findings=())
    options, stopping = (
        Options(engine=EngineName.LOCAL, owner=BytesUser(uid=0), state=StateFolder(tmp_path / "state")),
        Stopping(),
    )
    prepared = prepare_to_migrate(locations, options, stopping)
    reports: list[Report] = []

    def watch(_: object) -> tuple[()]:
        break_at(monkeypatch, "record_finished", "save_report", "end_run")
        return ()

    with pytest.raises(MustStop, match="record_finished"):
        migrate(prepared, options, watch, stopping, on_stopped=reports.append)
    [report] = reports
    assert report.stopped is not None
    assert "record_finished" in report.stopped.what


END = DiskLocation(root=Path("/data"), folder_mode=0o740, file_mode=0o640)


def test_a_verification_tells_what_ended_it_though_the_ledger_cannot_take_it_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(tmp_path / "ledger", source_identity="a", target_identity="b", now=0.0) as ledger:
        record = ProofRecord(ledger, "run", Totals(), key="key", is_fresh=False, max_age=1.0)
        break_at(monkeypatch, "end_run")
        with pytest.raises(MigratorError, match="unreachable"), record.running("verify", END, END, "fingerprint"):
            raise MustStop("unreachable", "The server is unreachable.")
