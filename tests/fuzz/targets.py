"""What is fuzzed: each target takes any bytes, and raises only if the program would crash, or takes what it must not take.

An error of the program's own (`MigratorError`) is an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError, create_parser
from botocore.session import Session

from migrator.checks.audit.exported_rows import read_rows
from migrator.config.env_file import assignments, read_env_file, written_lines
from migrator.config.location_resolution import resolve_locations
from migrator.config.locations import Overrides
from migrator.core.entities import FinishedFolder
from migrator.core.errors import MigratorError, StoreError
from migrator.ledger.ledger import Ledger
from migrator.stores.s3.errors.mapping import translate
from migrator.stores.s3.listing.xml import read_page
from migrator.sync.manifest_reader import ROWS, SUMS, Manifest

Target = Callable[[bytes, Path], None]
BUCKET = "one-bucket"
_STATUSES = (200, 301, 400, 403, 404, 409, 412, 413, 429, 500, 503)


def listing(data: bytes, folder: Path) -> None:
    """A page of a listing: what is taken has a name, a size and a time of the right kind, or nothing is taken."""
    page = read_page(data, BUCKET)
    if page is not None:
        assert all(isinstance(one.key, str) and one.size >= 0 for one in page.objects)


def error_body(data: bytes, folder: Path) -> None:
    """An answer that is no success: the first byte chooses its status, the rest is its body."""
    status = _STATUSES[data[0] % len(_STATUSES)] if data else 500
    answer = {"status_code": status, "headers": {}, "body": data[1:], "context": {"operation_name": "PutObject"}}
    try:
        parsed = _parser().parse(answer, _shape())
    except ResponseParserError as error:
        _assert_explained(translate(error, BUCKET))
        return
    if "Error" in parsed:
        _assert_explained(translate(ClientError(parsed, "PutObject"), BUCKET))


def env_file(data: bytes, folder: Path) -> None:
    """Bytes' settings, in both syntaxes, read and prepared for a change."""
    for name in ("bytes.env", "bytes.conf"):
        path = folder / name
        path.write_bytes(data)
        try:
            assert all(setting.name for setting in read_env_file(path))
            text = data.decode()
            list(assignments(path, text))
            list(written_lines(text))
        except MigratorError as error:
            _assert_explained(error)
        except UnicodeDecodeError:
            pass


def manifest(data: bytes, folder: Path) -> None:
    """A list of raw files with digests, in both forms."""
    for suffix in (SUMS, ROWS):
        path = folder / f"alpha{suffix}"
        path.write_bytes(data)
        try:
            found = Manifest(path)
            for organization in found.blocks:
                ids = [kept.raw_file.raw_id for kept in found.lines(organization)]
                assert ids == sorted(set(ids)), "not in order, or twice"
        except MigratorError as error:
            _assert_explained(error)


def rows(data: bytes, folder: Path) -> None:
    """Exported rows of Bytes' database."""
    path = folder / "rows.csv"
    path.write_bytes(data)
    last = ("", "")
    try:
        for row in read_rows(path):
            this = (row.organization, row.raw_id)
            assert this > last, "not in order, or twice"
            last = this
    except MigratorError as error:
        _assert_explained(error)


def ledger(data: bytes, folder: Path) -> None:
    """A sound ledger, changed: of each four bytes of the input, three say where, and the fourth what that byte becomes."""
    content = bytearray(_sound_ledger(folder))
    for at in range(0, len(data) - 3, 4):
        content[int.from_bytes(data[at : at + 3], "big") % len(content)] = data[at + 3]
    path = folder / "damaged.sqlite3"
    path.write_bytes(content)
    try:
        opened = Ledger.open_to_read(path)
        if opened is None:
            return
        with opened:
            for run in opened.runs():
                opened.report(run.run_id)
                opened.problems(run.run_id)
            assert set(opened.finished("alpha")) <= {"abc"}, "a folder that nobody finished"
            opened.provisional("alpha")
            opened.all_uploads()
    except MigratorError as error:
        _assert_explained(error)


def settings(data: bytes, folder: Path) -> None:
    """Two locations, and an environment of names and values: all separated by zero bytes."""
    words = [word.decode("utf-8", "surrogateescape") for word in data.split(b"\0")]
    first, second, *more = [*words, "", ""]
    environ = {name: value for name, value in zip(more[::2], more[1::2], strict=False) if name and "=" not in name}
    try:
        resolve_locations(
            first or None, second or None, env_files=(), overrides=Overrides(), environ=environ, debian_files=()
        )
    except MigratorError as error:
        _assert_explained(error)


TARGETS: dict[str, Target] = {
    "listing": listing,
    "error-body": error_body,
    "env-file": env_file,
    "manifest": manifest,
    "rows": rows,
    "ledger": ledger,
    "settings": settings,
}


def _assert_explained(error: MigratorError | StoreError) -> None:
    assert error.name
    assert error.what
    assert isinstance(f"{error.why}{error.cure}", str)


@cache
def _parser() -> Any:
    return create_parser("rest-xml")


@cache
def _shape() -> Any:
    return Session().get_service_model("s3").operation_model("PutObject").output_shape


@cache
def _sound_ledger(folder: Path) -> bytes:
    path = folder / "sound.sqlite3"
    run = "20260101-000000-aaaa"
    with Ledger.open(path, source_identity="disk:/data", target_identity="s3:one", now=1.0) as made:
        made.begin_run(run, "migrate", "/data", "s3://one", settings_fingerprint="0", started_at=1.0)
        made.end_run(run, exit_status=0, ended_at=2.0, totals={})
        made.record_finished([FinishedFolder("alpha", "abc", 1, "0" * 32, "0" * 32, True, 1, 3)])
    return path.read_bytes()
