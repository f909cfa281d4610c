"""What is left of a run beside its answer: the report's files, metrics, and a command that is told of its end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from migrator.app.options import Options
from migrator.cli.logs import is_json, json_line, log_forced, say, to_stderr
from migrator.config.locations import DiskLocation, Location
from migrator.core.errors import MigratorError
from migrator.core.notices import Problem
from migrator.reports.file_list import FileList
from migrator.reports.formatting import shown
from migrator.reports.report import Report
from migrator.reports.report_folder import ReportFolder, refuse_within
from migrator.sync.coordinator import Observer

if TYPE_CHECKING:
    from migrator.reports.metrics import MetricsFile
    from migrator.reports.text.audit import AuditReport
    from migrator.reports.text.prune import PruneReport

AnyReport = TypeVar("AnyReport", bound="Report | AuditReport | PruneReport")
ON_FINISH_SECONDS = 120


class Reporting:
    """Observers while a run goes on, and what is written at its end."""

    def __init__(self, given: dict[str, Any], command: str) -> None:
        self._given = given
        self._command = command
        self._folder: ReportFolder | None = None
        self._files: FileList | None = None
        self._metrics: MetricsFile | None = None
        self._report: Report | None = None
        self._run_id = ""
        self._page: Path | None = None
        self.exit_status = 0

    def begin(self, options: Options, *ends: Location | None) -> Options:
        """Open what will be written, so that what cannot be is told before anything begins. Raises SettingsError, CannotStart."""
        data_folders = [end.root for end in ends if isinstance(end, DiskLocation)]
        metrics_file = self._given.get("metrics_file")
        if metrics_file is not None:
            refuse_within(metrics_file, data_folders, "--metrics-file")
        if self._given["report"] is not None:
            self._folder = ReportFolder(self._given["report"], data_folders=data_folders)
            self._files = FileList(self._folder)
        if metrics_file is not None:
            from migrator.reports.metrics import MetricsFile  # noqa: PLC0415 start-up time is everybody's

            self._metrics = MetricsFile(metrics_file, self._command)
        return replace(options, lists_extra=self._files is not None)

    @property
    def observers(self) -> Sequence[Observer]:
        """Return the file list and the metrics, as far as they are asked for."""
        return [observer for observer in (self._files, self._metrics) if observer is not None]

    def listed(self, problem: Problem) -> None:
        """Add a line to the file list, for a command that has no events for it."""
        if self._files is not None:
            self._files.add(problem)

    def write(self, report: AnyReport) -> AnyReport:
        """Write the report's files, once; answers the report with what it now knows of them."""
        if self._files is not None and self._folder is not None:
            files, self._files = self._files, None
            try:
                report = replace(report, evidence=files.finish())
                from migrator.reports.files import write_report  # noqa: PLC0415 Jinja2 takes time to load

                self._page = write_report(self._folder, report)
                say(self._given, f"Report: {shown(str(self._page))}", report=str(self._page))
            except MigratorError as error:
                say(self._given, f"warning: {shown(str(error))}")
        self._run_id = report.run
        self._report = report if isinstance(report, Report) else None
        self.exit_status = report.exit_status
        log_forced(report.findings)
        return report

    def give_up(self) -> None:
        """Leave nothing of what was opened."""
        if self._files is not None:
            self._files.give_up()

    def end(self, exit_status: int) -> None:
        """The run is over, however it ended."""
        self.give_up()
        if self._metrics is not None:
            trouble = self._metrics.end(exit_status, self._report)
            if trouble:
                say(self._given, f"warning: {shown(trouble)}")
        if is_json(self._given):
            to_stderr(json_line("ended", exit_status=exit_status, run=self._run_id or None))
        if self._given.get("on_finish"):
            self._call(self._given["on_finish"], exit_status)

    def _call(self, command: str, exit_status: int) -> None:
        facts = {
            "BYTES_MIGRATOR_COMMAND": self._command,
            "BYTES_MIGRATOR_STATUS": str(exit_status),
            "BYTES_MIGRATOR_RUN_ID": self._run_id,
            "BYTES_MIGRATOR_REPORT_PATH": str(self._page or ""),
        }
        try:
            ended = subprocess.run(
                ["/bin/sh", "-c", command],
                env={**os.environ, **facts},
                stdin=subprocess.DEVNULL,
                stdout=2,  # stdout is for the answer
                timeout=ON_FINISH_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            say(self._given, f"warning: the command of --on-finish did not end well: {shown(_kind(error))}")
            return
        if ended.returncode:
            say(self._given, f"warning: the command of --on-finish ended with status {ended.returncode}.")


@contextmanager
def reporting(given: dict[str, Any], command: str) -> Iterator[Reporting]:
    """Carry out a command; at its end, with whatever status, metrics are written and --on-finish is called.

    Raises:
        MigratorError: If the block raises it; its exit status is told to both.
        Abort: If the operator says no: nothing is written or called.
    """
    reports = Reporting(given, command)
    try:
        yield reports
    except MigratorError as error:
        reports.end(error.exit_status)
        raise
    except click.exceptions.Abort:
        reports.give_up()  # the answer was no
        raise
    except Exception:
        reports.end(MigratorError.exit_status)
        raise
    else:
        reports.end(reports.exit_status)


def _kind(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it took over {ON_FINISH_SECONDS} seconds"
    return getattr(error, "strerror", None) or type(error).__name__
