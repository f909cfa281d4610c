"""A Dask cluster of the run's own: processes of this machine, forked before any thread or connection exists, as those of `processes`.

Dask's own local cluster starts each worker as a new Python program with a second one beside it that watches over it: seconds, for
what is here by then. These die with their parent instead. They talk TLS on the loopback too: whoever may open a port there could
else have them do anything as this user.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

import dask
from distributed import Scheduler, Security, Worker

from migrator.engines.forked import end_with

if TYPE_CHECKING:
    Pipe = connection.Connection[Any, Any]

_CLOSE_SECONDS = 5.0
_HOST = "127.0.0.1"
_CONFIG = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.tick.cycle": "5s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.scheduler.reuse-broadcast-comm": True,
}
"""What an operator of a cluster wants to see of it, and nobody can see of this one."""


class OwnCluster:
    """`fork` first, in the thread that ends last; then `open`, in a loop."""

    def __init__(self, workers: int, environment: Mapping[str, str], threads: int) -> None:
        self._workers = workers
        self._threads = threads
        self._environment = environment
        self._context = multiprocessing.get_context("fork")
        self._members: list[tuple[BaseProcess, Pipe]] = []
        self._scheduler: Scheduler | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.security: Security | None = None

    def fork(self) -> None:
        """Start the workers. They wait to be told where the scheduler is."""
        dask.config.set(_CONFIG)
        self.security = Security.temporary()
        self._folder = tempfile.TemporaryDirectory(prefix="bytes-migrator-dask-")
        gc.freeze()  # what is here by now stays, and workers need not look through it
        for number in range(self._workers):
            reader, writer = self._context.Pipe(duplex=False)
            later = [writer, *(pipe for _, pipe in self._members)]
            member = self._context.Process(
                target=self._run, args=(number, reader, later, os.getpid()), name=f"worker-{number}", daemon=True
            )
            member.start()
            reader.close()
            self._members.append((member, writer))

    async def open(self) -> str:
        """Start the scheduler in this loop, and have the workers join it. The address is one within this process."""
        self._scheduler = await Scheduler(
            host=[_HOST, ""],
            port=[0, None],
            protocol=["tls://", "inproc://"],
            security=self.security,
            dashboard=False,
            dashboard_address=f"{_HOST}:0",
        )
        addresses = [str(listener.contact_address) for listener in self._scheduler.listeners]
        outside = next(address for address in addresses if address.startswith("tls://"))
        for _, pipe in self._members:
            pipe.send(outside)
        return next(address for address in addresses if address.startswith("inproc://"))

    async def close(self) -> None:
        """End the scheduler. The workers have nothing left to say."""
        if self._scheduler is not None:
            with suppress(Exception):
                await asyncio.wait_for(self._scheduler.close(reason="the run is over"), _CLOSE_SECONDS)

    def end(self) -> None:
        """See all workers end; kill what does not."""
        until = time.monotonic() + _CLOSE_SECONDS
        for member, pipe in self._members:
            pipe.close()
            member.join(max(0.0, until - time.monotonic()))
            if member.is_alive():
                member.kill()
                member.join()
        self._members.clear()
        if self._folder is not None:
            self._folder.cleanup()

    def _run(self, number: int, pipe: Pipe, others: list[Pipe], parent: int) -> None:
        end_with(parent)
        for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signal_number, signal.SIG_IGN)  # who coordinates decides when to stop
        for other in others:
            other.close()
        os.environ.update(self._environment)
        try:
            address: str = pipe.recv()
        except EOFError:
            return
        asyncio.run(self._serve(number, address))

    async def _serve(self, number: int, address: str) -> None:
        worker = await Worker(
            address,
            name=str(number),
            nthreads=self._threads,
            host=_HOST,
            protocol="tls://",
            security=self.security,
            local_directory=self._folder.name if self._folder is not None else None,
            dashboard_address=f"{_HOST}:0",
            memory_limit=0,
        )
        await worker.finished()
