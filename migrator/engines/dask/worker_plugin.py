"""What runs in the workers of a cluster: the run's station, brought by a plugin, and the functions that reach it."""

from __future__ import annotations

import asyncio
import gc
import pickle
import zlib
from collections.abc import Callable

from distributed import Worker, WorkerPlugin, get_worker

from migrator.core.errors import MigratorError
from migrator.engines.worker_host import FromStation, Preflight, Station, Work, refusal_of

FINISH_SECONDS = 5.0
_ALLOCATIONS_BEFORE_COLLECTION = 50_000
_SMALL = 1000

MakeWork = Callable[[int], Work]
"""Makes what a worker does, given how many workers share the run's limits. Can be pickled."""


class Left(Exception):
    """The station of this worker is gone or was abandoned: the unit has to go to another."""


LEFT = ("Left", "Abandoned")


class StationPlugin(WorkerPlugin):  # type: ignore[misc]
    """Brings a run's station to each worker, now and when it joins."""

    def __init__(self, topic: str, payload: bytes, shares: int) -> None:
        """`payload` is a pickled pair of MakeWork and Preflight."""
        self._topic = topic
        self._payload = payload
        self._shares = shares

    def setup(self, worker: Worker) -> None:
        """Open stores and lanes once for this worker; called by Dask when the plugin arrives or a worker comes later."""
        made: tuple[MakeWork, Preflight] = pickle.loads(self._payload)  # noqa: S301 from the coordinator
        work, self.preflight = made
        topic = self._topic

        def say(said: FromStation) -> None:
            worker.log_event(topic, {"said": packed(said)})

        self._thresholds = gc.get_threshold()
        gc.set_threshold(_ALLOCATIONS_BEFORE_COLLECTION, 20, 20)  # many small objects, hardly a cycle
        self.station = Station(work(self._shares), say)

    def teardown(self, worker: Worker) -> None:
        """Give up what is in flight and close everything; called by Dask when the run ends."""
        gc.set_threshold(*self._thresholds)
        self.station.abandon()


def packed(said: FromStation) -> bytes:
    """As it goes through the scheduler; what is small is not worth compressing."""
    plain = pickle.dumps(said, pickle.HIGHEST_PROTOCOL)
    return b"z" + zlib.compress(plain, 1) if len(plain) > _SMALL else b"p" + plain


def unpacked(data: bytes) -> FromStation:
    """Return what a worker said; the inverse of `packed`."""
    plain = zlib.decompress(data[1:]) if data[:1] == b"z" else data[1:]
    said: FromStation = pickle.loads(plain)  # noqa: S301 from a worker, which could do anything already
    return said


def carry_out(topic: str, number: int, delivery: int, unit: bytes, key: tuple[str, str, int, int]) -> None:
    """Bring the unit to this worker's station and wait for its end: the task that Dask runs.

    Raises:
        Left: If the plugin is not here: the worker joined late or was restarted, and the unit goes to another.
    """
    worker = get_worker()
    plugin = worker.plugins.get(topic)
    if plugin is None:
        raise Left

    def is_wanted() -> bool:
        known = worker.state.tasks.get(key)
        return known is not None and known.state == "executing"

    plugin.station.carry_out(number, delivery, pickle.loads(unit), is_wanted=is_wanted)  # noqa: S301 from the coordinator


def receive(topic: str, batch: bytes, dask_worker: Worker) -> None:
    """Hand a batch of the coordinator's messages to this worker's station; dropped where the run is over."""
    plugin = dask_worker.plugins.get(topic)
    if plugin is not None:
        for message in pickle.loads(batch):  # noqa: S301 from the coordinator
            plugin.station.receive(message)


async def finish(topic: str, dask_worker: Worker) -> None:
    """The run is complete: what a worker does at the end of a whole pass."""
    plugin = dask_worker.plugins.get(topic)
    if plugin is not None:
        await asyncio.to_thread(plugin.station.finish, FINISH_SECONDS)


async def preflight(topic: str, dask_worker: Worker) -> MigratorError | Left | None:
    """Whether this worker can do its part; asked in a thread, for a mount may hang."""
    plugin = dask_worker.plugins.get(topic)
    if plugin is None:
        return Left("The run's station could not be put there.")
    return await asyncio.to_thread(refusal_of, plugin.preflight)
