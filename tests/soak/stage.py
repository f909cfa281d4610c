"""Where a trial plays: a folder and a server of its own behind the fault proxy, in an environment in which nothing else is seen."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults.proxy import Proxy, proxy_before
from tests.servers import S3Server, Servers

_FOREIGN = ("AWS_", "BYTES_", "S3_", "BUCKET_PER_ORG", "XDG_", "BOTO")


@dataclass(frozen=True)
class Stage:
    """`folder` is empty at first and removed in the end; `server` is reached through `proxy`, `behind` without."""

    folder: Path
    proxy: Proxy
    behind: S3Server

    def env(self, state: Path | None = None) -> dict[str, str | None]:
        """What the command is run with: the server, and a state folder below this one unless `state` says another."""
        home = self.folder / "home"
        return {
            **hidden(),
            **self.proxy.server.env(),
            "HOME": str(home),
            "BYTES_MIGRATOR_STATE_DIR": str(state or self.folder / "state"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def hidden(environ: Mapping[str, str] = os.environ) -> dict[str, str | None]:
    """Take away what the caller's environment says of S3 and Bytes. In a trial Bytes runs as root, and its own calls do not matter."""
    own = {"BYTES_MIGRATOR_FORCE": "bytes-calls", "BYTES_MIGRATOR_OWNER": "root"}
    return {**{name: None for name in environ if name.startswith(_FOREIGN)}, **own}


@contextlib.contextmanager
def stage(kind: str, *, at: Path | None = None) -> Iterator[Stage]:
    """A new server of this kind, with a folder below `at` or the system's place for temporary files."""
    folder = Path(tempfile.mkdtemp(prefix="bytes-migrator-soak-", dir=at))
    home = Path(tempfile.mkdtemp(prefix="bm-soak-"))  # a socket's path may be no longer than 107 bytes
    try:
        with Servers(home, os.getpid()).private(kind) as private, proxy_before(private.server) as proxy:
            yield Stage(folder, proxy, private.server)
    finally:
        for each in (folder, home):
            shutil.rmtree(each, ignore_errors=True)


def say(line: str) -> None:
    """To whoever watches; figures go to stdout at the end."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
