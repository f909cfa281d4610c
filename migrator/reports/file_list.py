"""The file list: every raw file that was not simply copied, present or, in a dry run, missing, a line each, written as they are told."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, suppress
from typing import TextIO

from migrator.core.errors import MustStop
from migrator.core.notices import NoticeKind, Problem
from migrator.core.outcomes import Outcome
from migrator.reports.formatting import shown
from migrator.reports.json import as_json_line
from migrator.reports.report import Evidence
from migrator.reports.report_folder import ReportFolder
from migrator.sync.messages import ProgressEvent

NDJSON = "files.ndjson"
SIGNS = "files.txt"
_SIGN = {
    Outcome.CONFLICT.value: "*",
    Outcome.PENDING.value: "+",
    "extra": "-",
    "orphaned": "-",
}
"""rclone's signs: ``*`` differs, ``+`` only at the source so far, ``-`` only at the target, ``!`` for all that went wrong."""


class FileList:
    """An observer that writes both forms of the list; they appear under their names at `finish`. It never ends a run."""

    def __init__(self, folder: ReportFolder) -> None:
        """Raises CannotStart."""
        with ExitStack() as undo:
            self._lists = [_List(name, undo.enter_context(folder.growing(name))) for name in (NDJSON, SIGNS)]
            self._stack = undo.pop_all()
        self._error: OSError | None = None

    def on_event(self, event: ProgressEvent) -> None:
        """Write down problems and extra raw files."""
        for problem in (*event.problems, *event.extra):
            self.add(problem)

    def add(self, problem: Problem) -> None:
        """Add a line for it; the first error of the disk is kept, and told by `finish`."""
        if self._error is None:
            try:
                self._add(problem)
            except OSError as error:
                self._error = error

    def tick(self) -> None:
        """Nothing to do between events."""

    def finish(self) -> tuple[Evidence, ...]:
        """Make the lists durable, and give them their names; return their digests.

        Raises:
            MustStop: If one could not be written: a list that is not whole is none.
        """
        if self._error is not None:
            self.give_up()
            raise MustStop(
                "report-unwritable",
                f"The report's file list could not be written ({self._error.strerror}), so there is no report.",
                cure="Make room or give the right, then run: bytes-migrator report RUN",
            )
        self._stack.close()
        return tuple(Evidence(name=each.name, sha256=each.digest.hexdigest(), lines=each.lines) for each in self._lists)

    def give_up(self) -> None:
        """Remove what was written: nothing was begun, or it is not whole."""  # noqa: DOC501 it is caught here
        with suppress(_GivenUpError, MustStop), self._stack:
            raise _GivenUpError

    def _add(self, problem: Problem) -> None:
        if problem.kind == NoticeKind.LEFT_ALONE.value:
            return
        sign = _SIGN.get(problem.kind, "!")
        name = f"{problem.organization}/{problem.raw_id}" if problem.raw_id else problem.where
        ndjson, signs = self._lists
        ndjson.add(as_json_line({"sign": sign, **problem.as_dict()}))
        signs.add(f"{sign} {shown(name)}")


class _List:
    """One of the two files, its lines and their digest."""

    def __init__(self, name: str, file: TextIO) -> None:
        self.name = name
        self.lines = 0
        self.digest = hashlib.sha256()
        self._file = file

    def add(self, line: str) -> None:
        data = f"{line}\n"
        self._file.write(data)
        self.digest.update(data.encode("utf-8", "backslashreplace"))
        self.lines += 1


class _GivenUpError(Exception):
    """Ends the blocks of files that shall not get their names."""
