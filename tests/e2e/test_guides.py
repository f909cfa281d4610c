"""Every guide's commands run as written, from the first to the last, in a made-up installation.

The blocks marked ``sh`` of a page are one script. Paths below /etc and /var are those of a sandbox, the endpoint is a test server's,
and ``systemctl`` only writes down that it was called.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import command, fork_server
from tests.conftest import FreshNames
from tests.corpus import make_store
from tests.servers import S3Server

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(
    page.relative_to(DOCS).as_posix() for page in (DOCS / "guides").glob("*.md") if "```sh\n" in page.read_text()
)
_BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_STUB = '#!/bin/sh\necho "$(basename "$0") $*" >> "$CALLED"\n'
_DOCKER = """#!/bin/bash
case "$*" in
    *" run --rm "*)
        while [ "$1" != --rm ]; do shift; done
        service=$2
        shift 2
        set -a; . "$OPENKAT_ENV"; set +a
        [ $# -gt 0 ] || eval "set -- $(grep -A3 "^  $service:" "$COMPOSE" | sed -n 's/^    command: \\[\\(.*\\)\\]$/\\1/p' | tr , ' ')"
        exec bytes-migrator "$@" ;;
    *) echo "docker $*" >> "$CALLED" ;;
esac
"""
"""Runs what would run in the container right here, with the service's own command from deploy/compose.yaml."""
CALLS = {
    "guides/enable-s3-compose.md": ["docker compose stop bytes", "docker compose up -d bytes"],
    "guides/enable-s3-kubernetes.md": None,
}
"""What else than systemctl a guide calls; None where all of it is a cluster's affair."""


@dataclass(frozen=True)
class Installation:
    """Debian packages' files below `root`, with raw files on disk and, where `on_s3`, Bytes' settings pointing at S3."""

    root: Path
    server: S3Server
    names: FreshNames

    @property
    def data(self) -> Path:
        return self.root / "var/lib/kat-bytes"

    @property
    def conf(self) -> Path:
        return self.root / "etc/kat/bytes.conf"

    def set_up(self) -> None:
        self.conf.parent.mkdir(parents=True)
        make_store(self.data, {"acme": 12, "hogeschool": 8})
        self.conf.write_text(f"BYTES_DATA_DIR={self.data}\n")
        stubs = self.root / "bin"
        stubs.mkdir()
        for name, stub in (("systemctl", _STUB), ("kubectl", _STUB), ("docker", _DOCKER)):
            (stubs / name).write_text(stub)
            (stubs / name).chmod(0o755)
        (self.root / ".env").write_text("")

    def in_one_bucket(self) -> str:
        """Settings of Bytes on S3."""
        access = f"AWS_ENDPOINT_URL={self.server.endpoint_url}\nAWS_ACCESS_KEY_ID={self.server.access_key}\n"
        return f"S3_BUCKET={self.names.bucket}-old\nBUCKET_PER_ORG=false\n{access}AWS_SECRET_ACCESS_KEY={self.server.secret_key}\n"

    def move_to_s3(self) -> None:
        """As if Bytes had been on S3 for long: old.env and bytes.conf say where, and nothing is on disk."""
        (self.root / "old.env").write_text(self.in_one_bucket())
        self._migrate_to("old.env")
        subprocess.run(["rm", "-rf", self.data], check=True)
        self.conf.write_text(self.in_one_bucket())

    def write_new_settings(self) -> None:
        (self.root / "new.env").write_text(self.in_one_bucket())

    def migrate_to_new_settings(self) -> None:
        self.write_new_settings()
        self._migrate_to("new.env")

    def _migrate_to(self, file: str) -> None:
        command.run("migrate", "--from", f"{self.data}/", "--to", self.root / file, "--yes", env=self.env()).expect(0)

    def env(self) -> dict[str, str]:
        return {"XDG_STATE_HOME": str(self.root / "state"), "HOME": str(self.root)}

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        for written, here in (
            ("demo --files 400", "demo --files 40"),
            ("/etc/kat/", f"{self.conf.parent}/"),
            ("/var/lib/kat-bytes", str(self.data)),
            ("http://127.0.0.1:8333", self.server.endpoint_url),
            ("http://seaweedfs:8333", self.server.endpoint_url),
            ("http://seaweedfs.storage.svc:8333", self.server.endpoint_url),
            ("S3_BUCKET=openkat-raw-files", f"S3_BUCKET={self.names.bucket}-new"),
            ("s3://openkat-raw-files/", f"s3://{self.names.bucket}-new/"),
            ("S3_BUCKET_PREFIX=openkat-", f"S3_BUCKET_PREFIX={self.names.prefix}"),
            ("AWS_ACCESS_KEY_ID=openkat", f"AWS_ACCESS_KEY_ID={self.server.access_key}"),
            ("AWS_SECRET_ACCESS_KEY=openkat-secret", f"AWS_SECRET_ACCESS_KEY={self.server.secret_key}"),
        ):
            script = script.replace(written, here)
        path = f"{self.root / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, **self.env(), "PATH": path, "CALLED": str(self.root / "called")}
        fork_server.put_stand_in(self.root / "bin" / "bytes-migrator", environment=env)
        if "docker" in script:
            env |= {"BYTES_DATA_DIR": str(self.data), "COMPOSE": str(DOCS.parent / "deploy" / "compose.yaml")}
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-x", "-c", script],
            cwd=self.root,
            env=env,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


BEFORE: dict[str, Callable[[Installation], None]] = {
    "guides/disable-s3.md": Installation.move_to_s3,
    "guides/change-naming.md": Installation.move_to_s3,
    "guides/near-zero-downtime.md": Installation.write_new_settings,
    "guides/verify-years-later.md": Installation.migrate_to_new_settings,
}


def test_there_are_guides() -> None:
    assert len(PAGES) >= 5


@pytest.mark.parametrize("page", [*PAGES, "tutorial.md", "../README.md"])
def test_the_commands_of_a_guide_run_as_written(
    page: str, moto: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    here = Installation(tmp_path, moto, fresh_names)
    here.set_up()
    BEFORE.get(page, lambda _: None)(here)
    script = "\n".join(_BLOCK.findall((DOCS / page).read_text()))
    done = here.run(script)
    assert done.returncode == 0, f"{page} ends with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    expected = CALLS.get(page, ["systemctl stop kat-bytes", "systemctl start kat-bytes"])
    if "systemctl stop" in script or page in CALLS:
        called = (tmp_path / "called").read_text().splitlines()
        assert called == expected or (expected is None and called)
