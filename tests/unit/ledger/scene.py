"""What the tests of the ledger share: a ledger, its rows, and programs that hold it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from migrator.core.entities import FinishedFolder, Provisional, RawId
from migrator.core.errors import MigratorError
from migrator.core.notices import Problem
from migrator.ledger.ledger import Ledger
from tests.passes import finished_folder

SOURCE, TARGET = "disk:/data", "s3://bucket/{organization}"
NOW = 1_767_225_600.0
TOTALS = {"acme": {"copied": {"files": 3, "bytes": 30}}}
RAW_ID = RawId("abc00000-0000-4000-8000-000000000001")

WRITER = """
import itertools, sys
from pathlib import Path
from migrator.ledger.ledger import Ledger
from tests.passes import finished_folder
ledger = Ledger.open(Path(sys.argv[1]), source_identity=sys.argv[2], target_identity=sys.argv[3], now=1.0)
for n in itertools.count():
    ledger.record_finished(finished_folder(f"org{n}", f"{k:03x}", k)._replace(files=n) for k in range(256))
    print(n, flush=True)
"""

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def opened(path: Path, source: str = SOURCE, target: str = TARGET, patience: float = 0.1) -> Ledger:
    return Ledger.open(path, source_identity=source, target_identity=target, now=NOW, patience=patience)


def folder_of(number: int, organization: str = "acme") -> FinishedFolder:
    return finished_folder(organization, f"{number:03x}", number)


def problem_of(number: int, kind: str = "failed") -> Problem:
    return Problem(kind, "acme", f"/data/acme/abc/{number}", "Permission denied", RAW_ID, number)


def copy_of(raw_id: str, organization: str = "acme", version: str = "etag-1") -> Provisional:
    return Provisional(organization, RawId(raw_id), 5, 17 * 10**17, version)


def begin(ledger: Ledger, run_id: str, started_at: float) -> None:
    ledger.begin_run(run_id, "migrate", "disk", "s3", settings_fingerprint="f00", started_at=started_at)


def tree(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    paths = [folder, *folder.rglob("*")]
    stats = {str(path): (path.stat(), path.read_bytes() if path.is_file() else b"") for path in paths}
    return {name: (each.st_ino, each.st_size, each.st_mtime_ns, content) for name, (each, content) in stats.items()}


def told(error: MigratorError) -> tuple[str, str, str, str]:
    """All that an operator reads of it."""
    return error.name, error.what, error.why, error.cure


def change(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)


def in_child(action: Callable[[], None], *, is_root: bool = True) -> int:
    """Run it in a child, which may be without root's rights; 0 if it went well."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        if not is_root and os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        action()
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(0)
