"""The engine of many machines: units are tasks of a Dask cluster. The only module that knows dask and distributed.

The client lives in a thread with a loop of its own. On each worker a plugin holds the run's `Station`; a task brings it one unit and waits.
Events come back by a topic of the scheduler, answers go out by functions run at the worker: nothing needs a connection of its own, and
nothing but settings without keys, units and events travels. Dask places and steals tasks, and runs them anew when a worker is lost;
`Orders` sees to it that each counts once.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import queue
import signal
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, Security, Worker, WorkerPlugin, get_worker

from migrator.engines.orders import Order, Orders
from migrator.engines.places import Place, Places, stays_private
from migrator.engines.station import (
    Acknowledge,
    Admit,
    Began,
    FromStation,
    Look,
    Station,
    Stop,
    ToStation,
    Work,
    refusal_of,
)
from migrator.errors import CannotStart, MigratorError, MustStop
from migrator.model import Finding
from migrator.stopping import Flag
from migrator.units import Ended, Event, Unit, UploadBegan
from migrator.worker import unexpected

UNITS_AHEAD = 4
"""Units under way or waiting for each worker: the bound of what is in flight. As many threads of a worker wait for them."""
FIRST_CONNECTION_SECONDS = 10.0
LOOK_SECONDS = 60.0
_TICK = 0.2
_SEEN_EVERY = 1.0
_CLOSE_SECONDS = 5.0
_NO_BREAK = "\N{NON-BREAKING HYPHEN}"

MakeWork = Callable[[int], Work]
"""Makes what a worker does, given how many workers share the run's limits. Can be pickled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where the scheduler is; without an address, a cluster of the run's own: `workers` processes here, with this environment added."""

    scheduler: str = ""
    workers: int = 1
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


class Dask:
    """Use as a context manager; leaving it ends what this run has at the cluster, and a cluster of its own altogether."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        work: MakeWork,
        look: Look,
        run_id: str,
        patience: float,
        stopping: Flag,
        is_limited: bool = False,
    ) -> None:
        """`is_limited`: workers share rates, so that none can join whose share was not counted at the start."""
        self._cluster = cluster
        self._payload = pickle.dumps((work, look))  # no secret can be pickled: one that would travel is seen here
        self._run_id = run_id
        self._patience = patience
        self._stopping = stopping
        self._is_limited = is_limited
        self._shares = 0
        self._connections = 0
        self._orders = Orders()
        self._waiting: deque[Order] = deque()
        self._given: dict[int, tuple[Future[None], frozenset[str]]] = {}
        self._places = Places()
        self._outboxes: dict[str, list[ToStation]] = {}
        self._stations: list[str] = []
        self._talk: set[asyncio.Task[None]] = set()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._failure: MigratorError | None = None
        self._ready = threading.Event()
        self._closing = False
        self._was_told_to_stop = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="dask", daemon=True)
        self._security: Security | None = None
        self._client: Client | None = None
        self._topic = ""

    # --- the coordinator's side, in its thread ---

    @property
    def capacity(self) -> int:
        return max(1, len(self._places.fit)) * UNITS_AHEAD

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Which workers were left out, and why."""
        return self._places.findings

    def __enter__(self) -> Dask:
        _silence()
        self._thread.start()
        while not self._ready.wait(_TICK):
            if self._stopping.is_set():
                break
        if self._failure is not None:
            self.__exit__()
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._thread.join(3 * _CLOSE_SECONDS)

    def submit(self, unit: Unit) -> None:
        self._loop.call_soon_threadsafe(self._accept, unit)

    def next_event(self, timeout: float) -> Event | None:
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            if self._failure is not None:
                raise self._failure from None
            return None

    def acknowledge(self, event: UploadBegan) -> None:
        self._loop.call_soon_threadsafe(self._say, self._stations[event.worker], Acknowledge(event.number))

    # --- the cluster's side, in the thread of the loop ---

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._conduct())
        except MigratorError as error:
            self._failure = error
        except Exception as error:
            self._failure = unexpected(error)
        finally:
            self._ready.set()

    async def _conduct(self) -> None:
        async with AsyncExitStack() as stack:
            address = self._cluster.scheduler or await self._own_cluster(stack)
            while not self._closing:
                async with AsyncExitStack() as connected:
                    client = await self._connect(address, connected)
                    if client is None:
                        return
                    await self._work_with(client)
                self._start_over()

    async def _own_cluster(self, stack: AsyncExitStack) -> str:
        """Processes on this machine. TLS there too: whoever may open a port here could else have them do anything."""
        self._security = Security.temporary()
        dask.config.set({"distributed.scheduler.reuse-broadcast-comm": True})
        cluster = await LocalCluster(
            n_workers=self._cluster.workers,
            threads_per_worker=UNITS_AHEAD,
            host="127.0.0.1",
            protocol="tls://",
            security=self._security,
            dashboard_address=None,
            worker_dashboard_address=None,
            memory_limit=0,
            asynchronous=True,
            silence_logs=logging.CRITICAL,
            env=dict(self._cluster.environment),
        )
        stack.push_async_callback(_within, _CLOSE_SECONDS, cluster.close)
        return str(cluster.scheduler_address)

    async def _connect(self, address: str, stack: AsyncExitStack) -> Client | None:
        """A client; tried again for as long as patience lasts. None when the run has ended meanwhile."""
        seconds = self._patience if self._connections else min(self._patience, FIRST_CONNECTION_SECONDS)
        until = time.monotonic() + seconds
        security = self._security or Security(require_encryption=address.startswith("tls://"))
        while not self._closing:
            left = until - time.monotonic()
            try:
                client: Client = await Client(
                    address,
                    asynchronous=True,
                    security=security,
                    timeout=max(1.0, min(left, 5.0)),
                    set_as_default=False,
                )
            except Exception as error:  # whatever a broken certificate or a foreign server makes of it
                self._mind_stop()
                if time.monotonic() >= until and not self._stopping.is_set():
                    raise self._unreachable(address, error) from error
                await asyncio.sleep(_TICK)
                continue
            stack.push_async_callback(_within, _CLOSE_SECONDS, client.close)
            return client
        return None

    def _unreachable(self, address: str, error: Exception) -> MigratorError:
        what = f"The Dask scheduler {address} does not answer"
        why = str(error) or type(error).__name__
        if self._connections:
            cure = "Start it again, then run the same command again: it goes on where it was."
            return MustStop("scheduler-gone", f"{what} any more, for {self._patience:.0f} seconds.", why=why, cure=cure)
        cure = "Check address and port; for tls:// set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, …__CLIENT__CERT and …__CLIENT__KEY."
        return CannotStart("scheduler-unreachable", f"{what}.", why=why, cure=cure)

    async def _work_with(self, client: Client) -> None:
        """Until the end, or until the connection is lost."""
        self._connections += 1
        self._topic = f"bytes-migrator-{self._run_id}-{self._connections}"
        await self._refuse_mixed_versions(client)
        client.subscribe_topic(self._topic, self._hear)
        seen_at, fit_at, self._client = 0.0, time.monotonic(), client
        while not self._closing:
            if client.status != "running":
                return
            now = time.monotonic()
            if now - seen_at >= _SEEN_EVERY:
                seen_at = now
                if not await self._see_workers(client, now):
                    return
            fit_at = now if self._places.fit or self._stopping.is_set() else fit_at
            self._settle_start(now - fit_at)
            self._mind_stop()
            for order in list(self._orders.open.values()):
                await self._mind(order)
            self._give_out()
            await asyncio.sleep(_TICK if self._ready.is_set() else _TICK / 4)
        for future, _ in self._given.values():
            future.cancel()
        if self._places.fit and not self._orders.open and not self._stopping.is_set():
            workers = sorted(self._places.fit)
            await _within(_CLOSE_SECONDS, partial(client.run, _finish, self._topic, workers=workers, on_error="ignore"))
        await _within(_CLOSE_SECONDS, partial(client.unregister_worker_plugin, self._topic))

    async def _refuse_mixed_versions(self, client: Client) -> None:
        ours, tell = _versions_here(), _versions_teller()
        found = {"the scheduler": await client.run_on_scheduler(tell)}
        found |= {f"worker {address}": said for address, said in (await client.run(tell, on_error="return")).items()}
        other = {who: said for who, said in found.items() if said != ours and not isinstance(said, OSError)}
        if other:
            who, said = next(iter(other.items()))
            raise CannotStart(
                "mixed-versions",
                f"{who.capitalize()} has other versions than this program: {_versions_in_words(said)}; here: {_versions_in_words(ours)}.",
                why="What they say to each other could be misunderstood.",
                cure="Install the same version everywhere, or use the same container image.",
            )

    async def _see_workers(self, client: Client, now: float) -> bool:
        """Look who is there. False if the scheduler does not answer."""
        try:
            known: Any = await asyncio.wait_for(client.scheduler.identity(n_workers=-1), LOOK_SECONDS)
        except (OSError, asyncio.TimeoutError):
            return False
        for address in (known["address"], *known["workers"]):
            if not stays_private(address):
                raise CannotStart(
                    "not-encrypted",
                    f"{address} in this cluster is reached over a network without TLS.",
                    why="Whoever can reach it could read along, and have the workers do anything.",
                    cure="Start scheduler and workers with tls:// and certificates, or with --host 127.0.0.1 on one machine.",
                )
        if not self._shares and known["workers"]:
            self._shares = len(known["workers"])
            await self._put_stations(client)
        named = {address: f"{worker['name']} ({address})" for address, worker in known["workers"].items()}
        look_at, _ = self._places.see(named, now)
        for place in look_at:
            self._begin(self._look_at(client, place))
        return True

    async def _put_stations(self, client: Client) -> None:
        own = not self._cluster.scheduler
        await client.register_plugin(StationPlugin(self._topic, self._payload, self._shares, own=own), self._topic)

    async def _look_at(self, client: Client, place: Place) -> None:
        ours = _versions_here()
        refusal = ""
        try:
            run = partial(client.run, workers=[place.address], on_error="return")
            said = (await asyncio.wait_for(run(_versions_teller()), LOOK_SECONDS)).get(place.address)
            if said != ours:
                refusal = f"It has other versions: {_versions_in_words(said)}; here: {_versions_in_words(ours)}."
            elif self._is_limited and len(self._places.fit) >= self._shares:
                refusal = "It joined after the limits were shared out."
            else:
                answer = (await asyncio.wait_for(run(_look, self._topic), LOOK_SECONDS)).get(place.address)
                refusal = str(answer) if answer is not None else ""
        except asyncio.TimeoutError:
            refusal = f"It did not answer within {LOOK_SECONDS:.0f} seconds: a mount may hang."
        except OSError as error:
            refusal = f"It cannot be reached ({error})."
        self._places.judge(place, refusal)

    def _settle_start(self, seconds_without: float) -> None:
        """Ready once a worker is fit. Raises where none will be."""
        places = self._places
        if places.fit:
            self._ready.set()
            return
        all_refused = bool(places.here) and all(place.is_fit is False for place in places.here.values())
        is_first = not self._ready.is_set()
        if not (is_first and all_refused) and seconds_without < (
            self._patience if not is_first else min(self._patience, LOOK_SECONDS)
        ):
            return
        kind = CannotStart if is_first else MustStop
        again = "" if is_first else " Then run the same command again: it goes on where it was."
        if all_refused:
            raise kind(
                "no-worker-fits",
                f"None of {len(places.here)} Dask workers can do its part. {'; '.join(places.reasons[:5])}",
                cure=f"Put that right at the workers.{again}",
            )
        raise kind(
            "no-workers",
            f"There is no Dask worker, for {seconds_without:.0f} seconds.",
            cure=f"Start workers: dask worker SCHEDULER --nthreads {UNITS_AHEAD}.{again}",
        )

    # --- units out, events in ---

    def _accept(self, unit: Unit) -> None:
        self._waiting.append(self._orders.give(unit))
        self._give_out()

    def _give_out(self) -> None:
        client, allowed = self._client, self._places.fit
        while allowed and self._waiting and client is not None and client.status == "running":
            order = self._waiting.popleft()
            order.delivery += 1
            shown = order.organization.replace(
                "-", _NO_BREAK
            )  # Dask groups by what comes before the first hyphen and digit
            key = (shown, self._topic, order.number, order.delivery)
            future = client.submit(
                carry_out,
                self._topic,
                order.number,
                order.delivery,
                pickle.dumps(order.unit),
                key,
                key=key,
                workers=sorted(allowed),
                allow_other_workers=False,
                pure=False,
            )
            self._given[order.number] = (future, allowed)

    async def _mind(self, order: Order) -> None:
        """See what has become of what was given out; whoever was lost is replaced."""
        future, allowed = self._given.get(order.number, (None, frozenset()))
        if future is None:
            return
        is_orphan = order.at not in self._places.here and not allowed & self._places.here.keys()
        if future.status == "error":
            error = await future.exception()
            if isinstance(error, KilledWorker):
                self._end(order, _shard_kills(order))
            elif type(error).__name__ in _LEFT:
                self._give_anew(order)
            else:
                self._end(order, unexpected(error))
        elif future.status != "pending" or is_orphan:
            self._give_anew(order)

    def _give_anew(self, order: Order) -> None:
        future, _ = self._given.pop(order.number)
        future.cancel()
        if self._stopping.is_set():
            self._end(order)
            return
        self._pass_on(self._orders.take_back(order))
        self._waiting.append(order)

    def _end(self, order: Order, error: MigratorError | None = None) -> None:
        self._given.pop(order.number, None)
        self._pass_on(self._orders.end(order, error))

    def _mind_stop(self) -> None:
        """Asked to stop: what nobody has begun will not begin, and all workers drain."""
        if not self._stopping.is_set():
            return
        self._waiting.clear()
        for order in list(self._orders.open.values()):
            if not order.attempt:
                given = self._given.get(order.number)
                if given is not None:
                    given[0].cancel()
                self._end(order)
        if not self._was_told_to_stop:
            self._was_told_to_stop = True
            for address in self._places.fit:
                self._say(address, Stop())

    def _start_over(self) -> None:
        """The connection is lost, and with it all that was given out."""
        for order in list(self._orders.open.values()):
            if self._stopping.is_set():
                self._end(order)
            elif order.number in self._given:
                self._pass_on(self._orders.take_back(order))
                self._waiting.append(order)
        self._given.clear()
        self._places.forget_all()
        self._outboxes.clear()
        self._shares = 0

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        said: FromStation = pickle.loads(zlib.decompress(event[1]["said"]))  # noqa: S301 from a worker, which could do anything already
        address = event[1]["worker"]
        if isinstance(said, Began):
            if self._stopping.is_set():
                self._say(address, Admit(said.attempt, None))
                return
            order, undone = self._orders.admit(said.number, said.delivery, said.attempt, address)
            self._pass_on(undone)
            self._say(address, Admit(said.attempt, tuple(order.uploads.values()) if order is not None else None))
            return
        event_told = said.event
        if isinstance(event_told, UploadBegan):
            event_told = event_told._replace(worker=len(self._stations))
            self._stations.append(address)
        for passed in self._orders.take(said.attempt, event_told):
            self._events.put(passed)
            if isinstance(passed, Ended):
                self._given = {number: given for number, given in self._given.items() if number in self._orders.open}

    def _pass_on(self, events: list[Event]) -> None:
        for event in events:
            self._events.put(event)

    def _say(self, address: str, message: ToStation) -> None:
        """Messages to one worker go out together, in order."""
        if address in self._outboxes:
            self._outboxes[address].append(message)
            return
        self._outboxes[address] = [message]
        self._begin(self._deliver(address))

    async def _deliver(self, address: str) -> None:
        client, outbox = self._client, self._outboxes[address]
        while outbox and client is not None:
            batch = pickle.dumps(outbox)
            outbox.clear()
            with suppress(OSError, asyncio.TimeoutError):  # it is gone: its units are given to others
                await asyncio.wait_for(
                    client.run(_receive, self._topic, batch, workers=[address], on_error="ignore"), LOOK_SECONDS
                )
        if self._outboxes.get(address) is outbox:
            del self._outboxes[address]

    def _begin(self, talk: Any) -> None:
        talking = self._loop.create_task(talk)
        self._talk.add(talking)
        talking.add_done_callback(self._talk.discard)


def _shard_kills(order: Order) -> MustStop:
    return MustStop(
        "shard-kills-workers",
        f"Several workers were lost one after another at the shard {order.prefix or '(all)'} of {order.organization}.",
        why="They may run out of memory, or be killed by who watches over them.",
        cure="Look at the workers' own logs; then run the same command again: it goes on where it was.",
    )


def _silence() -> None:
    """Dask's own words hold tracebacks; ours say what it means. Each of its loggers has its own level."""
    for name in ("asyncio", *logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("asyncio", "distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


async def _within(seconds: float, close: Callable[[], Any]) -> None:
    """Close what may be gone already."""
    with suppress(Exception):
        await asyncio.wait_for(close(), seconds)


# --- versions ---------------------------------------------------------------------------------------------------------

_Versions = tuple[str, str, str]


def _versions_here() -> _Versions:
    found: _Versions = _versions_teller()()
    return found


def _versions_teller() -> Callable[[], _Versions]:
    """A function that travels with its code: whoever runs it need not have this module."""

    def tell() -> _Versions:
        import importlib  # noqa: PLC0415
        import sys  # noqa: PLC0415

        def version(name: str) -> str:
            try:
                return str(importlib.import_module(name).__version__)
            except ImportError:
                return "none"

        return version("migrator"), version("distributed"), f"{sys.version_info[0]}.{sys.version_info[1]}"

    return tell


def _versions_in_words(said: object) -> str:
    if not isinstance(said, tuple):
        return f"they could not be asked ({said})"
    return f"bytes-migrator {said[0]}, distributed {said[1]}, Python {said[2]}"


# --- at the worker ----------------------------------------------------------------------------------------------------


class Left(Exception):
    """The station of this worker is gone or was abandoned: the unit has to go to another."""


_LEFT = ("Left", "Abandoned")


class StationPlugin(WorkerPlugin):  # type: ignore[misc]
    """Brings a run's station to each worker, now and when it joins."""

    def __init__(self, topic: str, payload: bytes, shares: int, *, own: bool) -> None:
        self._topic = topic
        self._payload = payload
        self._shares = shares
        self._own = own

    def setup(self, worker: Worker) -> None:
        if self._own:  # Ctrl-C reaches all processes of a terminal; who coordinates decides when to stop
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
        work, self.look = pickle.loads(self._payload)  # noqa: S301 from the coordinator
        topic = self._topic

        def say(said: FromStation) -> None:
            worker.log_event(topic, {"said": zlib.compress(pickle.dumps(said), 1)})

        self.station = Station(work(self._shares), say)

    def teardown(self, worker: Worker) -> None:
        self.station.abandon()


def carry_out(topic: str, number: int, delivery: int, unit: bytes, key: tuple[str, str, int, int]) -> None:
    """The task: bring the unit to this worker's station and wait for its end."""
    worker = get_worker()
    plugin = worker.plugins.get(topic)
    if plugin is None:
        raise Left

    def is_wanted() -> bool:
        known = worker.state.tasks.get(key)
        return known is not None and known.state == "executing"

    plugin.station.carry_out(number, delivery, pickle.loads(unit), is_wanted=is_wanted)  # noqa: S301 from the coordinator


def _receive(topic: str, batch: bytes, dask_worker: Worker) -> None:
    plugin = dask_worker.plugins.get(topic)
    if plugin is not None:
        for message in pickle.loads(batch):  # noqa: S301 from the coordinator
            plugin.station.receive(message)


async def _finish(topic: str, dask_worker: Worker) -> None:
    """The run is complete: what a worker does at the end of a whole pass."""
    plugin = dask_worker.plugins.get(topic)
    if plugin is not None:
        await asyncio.to_thread(plugin.station.finish, _CLOSE_SECONDS)


async def _look(topic: str, dask_worker: Worker) -> MigratorError | Left | None:
    """Whether this worker can do its part; asked in a thread, for a mount may hang."""
    plugin = dask_worker.plugins.get(topic)
    if plugin is None:
        return Left("The run's station could not be put there.")
    return await asyncio.to_thread(refusal_of, plugin.look)
