"""A Dask cluster of processes for tests: on the loopback, its members to be killed and replaced one by one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests import fork_server
from tests.fork_server import Forked
from tests.servers import free_ports

READY_SECONDS = 60.0
ROOT = Path(__file__).parents[1]
Member = subprocess.Popen[bytes] | Forked


class Cluster:
    """Members are plain processes, as an operator would start them."""

    def __init__(self, folder: Path, env: Mapping[str, str], *, scheme: str = "tcp", dashboard: bool = False) -> None:
        self._folder = folder
        self._env = env
        self._port, self._dashboard_port = free_ports(2)
        self.address = f"{scheme}://127.0.0.1:{self._port}"
        self.dashboard = f"127.0.0.1:{self._dashboard_port}" if dashboard else ""
        self._log = folder / "cluster.log"
        self._members: list[Member] = []
        self.scheduler: Member | None = None

    def start_scheduler(self) -> Member:
        shown = ("--dashboard-address", self.dashboard) if self.dashboard else ("--no-dashboard",)
        self.scheduler = self._start("scheduler", "--host", self.address, *shown)
        return self.scheduler

    def start_worker(
        self, name: str, *, env: Mapping[str, str] | None = None, before: tuple[str, ...] = (), jobs: int = 4
    ) -> Member:
        """`before` are words that start it elsewhere, such as in a name space of its own."""
        words = ("worker", self.address, "--name", name, "--nthreads", str(jobs), "--no-dashboard", "--no-nanny")
        folder = ("--local-directory", str(self._folder / f"worker-{name}"))
        return self._start(*words, *folder, env=env, before=before)

    def wait_for_workers(self, count: int) -> None:
        self._wait_for_line("Register worker addr", count)  # said by the scheduler, once for each

    def hang(self, member: Member) -> None:
        """It is there, and says nothing any more."""
        member.send_signal(signal.SIGSTOP)

    def kill(self, member: Member) -> None:
        member.kill()
        member.wait()

    def close(self) -> None:
        for member in self._members:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(member.pid, signal.SIGKILL)  # a tracer's death alone lets what it traces go on
            member.wait()

    def cpu_seconds(self) -> float:
        """What the workers have used so far."""
        ticks = 0
        for member in self._members:
            if member is not self.scheduler:
                with open(f"/proc/{member.pid}/stat") as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _start(self, *words: str, env: Mapping[str, str] | None = None, before: tuple[str, ...] = ()) -> Member:
        merged = {**os.environ, **self._env, **(env or {})}
        paths = (merged.pop("PYTHONPATH_FIRST", ""), merged.get("PYTHONPATH", ""), str(ROOT))
        merged["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        with open(self._log, "ab") as log:
            member = self._forked(words, merged, log.fileno()) if not before else None
            member = member or subprocess.Popen(
                [*before, sys.executable, "-m", "dask", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=merged,
                cwd=self._folder,
                start_new_session=True,
            )
        self._members.append(member)
        return member

    def _forked(self, words: tuple[str, ...], environment: Mapping[str, str], log: int) -> Forked | None:
        with open(os.devnull, "rb") as nothing:
            return fork_server.start(
                words,
                entry=fork_server.DASK,
                environment=environment,
                folder=str(self._folder),
                files=(nothing.fileno(), log, log),
            )

    def _wait_for_line(self, words: str, count: int) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while self.log().count(words) < count:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)


@contextlib.contextmanager
def cluster(
    folder: Path, env: Mapping[str, str], *, workers: int = 0, scheme: str = "tcp", dashboard: bool = False
) -> Iterator[Cluster]:
    """A scheduler and so many workers w0, w1, …, all there when it begins; killed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Cluster(folder, env, scheme=scheme, dashboard=dashboard)
    try:
        made.start_scheduler()
        for number in range(workers):
            made.start_worker(f"w{number}")
        if workers:
            made.wait_for_workers(workers)
        yield made
    finally:
        made.close()
