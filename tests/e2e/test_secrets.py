"""No secret in any output, log, report, ledger, manifest or process list, whatever is run and however it ends."""

from __future__ import annotations

import base64
import os
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import command
from tests.conftest import FreshNames
from tests.corpus import make_store
from tests.servers import S3Server

pytestmark = pytest.mark.one_process

PASSWORD = "MarkedPasswordOfTheDatabase"
NACL_KEY = base64.b64encode(b"MarkedKeyOfNaCl-32-bytes-long..!").decode()
API_PASSWORD = "MarkedPasswordOfBytes"


@contextmanager
def process_list(seen: set[bytes]) -> Iterator[None]:
    """Within the block, gathers the command lines of all processes, again and again."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(entry.read_bytes())
                except OSError:
                    continue

    inspecting = threading.Thread(target=look)
    inspecting.start()
    try:
        yield
    finally:
        done.set()
        inspecting.join()


def _files_that_hold(folder: Path, secrets: tuple[str, ...]) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found += [f"{path}: {secret[:12]}…" for secret in secrets if secret.encode() in content]
    return found


def test_marked_secrets_come_out_nowhere(weed: S3Server, fresh_names: FreshNames, tmp_path: Path) -> None:
    data, written = tmp_path / "data", tmp_path / "written"
    make_store(data, {"acme": 6, "<b>bold": 0})
    written.mkdir()
    settings = tmp_path / "secret" / "new.env"
    settings.parent.mkdir()
    settings.write_text(
        f"S3_BUCKET={fresh_names.bucket}\nBUCKET_PER_ORG=false\nAWS_ENDPOINT_URL={weed.endpoint_url}\n"
        f"AWS_ACCESS_KEY_ID={weed.access_key}\nAWS_SECRET_ACCESS_KEY={weed.secret_key}\n"
    )
    settings.chmod(0o600)
    env = {
        "XDG_STATE_HOME": str(written / "state"),
        "BYTES_DB_URI": f"postgresql://bytes:{PASSWORD}@127.0.0.1:9/bytes",
        "BYTES_USERNAME": "bytes",
        "BYTES_PASSWORD": API_PASSWORD,
        "BYTES_ENCRYPTION_MIDDLEWARE": "NACL_SEALBOX",
        "BYTES_PRIVATE_KEY_B64": NACL_KEY,
        "BYTES_PUBLIC_KEY_B64": NACL_KEY,
    }
    secrets = (weed.secret_key, PASSWORD, urllib.parse.quote(PASSWORD), NACL_KEY, API_PASSWORD)
    ends = ("--from", f"{data}/", "--to", settings)
    log = ("--log-file", written / "log", "-v")
    runs: tuple[tuple[object, ...], ...] = (
        ("doctor", *ends),
        ("doctor", *ends, "--probe", "--yes", "--json"),
        ("plan", *ends, "--report", written / "plan", *log),
        ("migrate", *ends, "--yes", "--report", written / "run", "--metrics-file", written / "metrics.prom", *log),
        ("migrate", *ends, "--yes", "--json", "--on-finish", f"env > {written}/environment-of-nothing; false", *log),
        ("verify", *ends, "--level", "content", "--manifest", written / "manifest", *log),
        ("audit", "--to", settings),
        ("audit", "--to", settings, "--level", "content", "--api", "http://127.0.0.1:9"),
        ("status", "--json"),
        ("uploads", "--to", settings),
        ("prune", *ends, "--env-file", settings),
        ("runbook", *ends),
        ("iam-policy", *ends, "--for", "migrate"),
        ("migrate", "--from", settings, "--to", tmp_path / "no" / "such" / "parent", "--yes"),
        ("plan", *ends, "--endpoint-url", f"http://user:{PASSWORD}@127.0.0.1:9"),
    )
    command_lines: set[bytes] = set()
    with process_list(command_lines):
        for words in runs:
            told_in_an_option = any(PASSWORD in str(word) for word in words)
            done = command.run(*map(os.fspath, words), env=env, secrets=secrets)  # looks at stdout and stderr
            assert done.status in (0, 1, 2, 3), done
            assert "No such" not in done.stderr, done
            if told_in_an_option:
                command_lines = {line for line in command_lines if PASSWORD.encode() not in line}
    (written / "environment-of-nothing").unlink(missing_ok=True)
    assert _files_that_hold(written, secrets) == []
    assert not [line for line in command_lines for secret in secrets if secret.encode() in line]


@pytest.mark.parametrize("name", ["state", "plan", "manifest"])
def test_what_is_written_is_for_its_owner_alone(
    name: str, weed: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    make_store(tmp_path / "data", {"acme": 3})
    env = {**weed.env(), "XDG_STATE_HOME": str(tmp_path / "state")}
    ends = ("--from", f"{tmp_path}/data/", "--to", f"s3://{fresh_names.bucket}/{{organization}}")
    command.run("migrate", *ends, "--yes", env=env).expect(0)
    command.run("plan", *ends, "--report", tmp_path / "plan", env=env).expect(0)
    command.run("verify", *ends, "--level", "content", "--manifest", tmp_path / "manifest", env=env).expect(0)
    files = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
    assert files
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
