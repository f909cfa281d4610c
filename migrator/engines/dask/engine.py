"""The coordinator's side: units go out as Dask tasks, events come in, and what was lost is given out anew."""

from __future__ import annotations

import asyncio
import pickle
import queue
import threading
import time
from collections import deque
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from distributed import Client, Future, KilledWorker

from migrator.core.cancellation import Flag
from migrator.core.errors import MigratorError, MustStop
from migrator.core.findings import Finding
from migrator.engines.attempts import Order, Orders
from migrator.engines.dask import worker_plugin
from migrator.engines.dask.connection import CLOSE_SECONDS, client_of, silence, within
from migrator.engines.dask.forked_cluster import OwnCluster
from migrator.engines.dask.members import CHECK_SECONDS, UNITS_AHEAD, Members
from migrator.engines.worker_host import Acknowledge, Admit, Began, Preflight, Stop, ToStation
from migrator.sync.messages import Event, Unit, UnitEnded, UploadBegan
from migrator.sync.worker import unexpected

_TICK = 0.2
_TICK_AT_FIRST = 0.02
_SEEN_EVERY = 1.0
_DIGEST_LENGTH = 32
_NO_BREAK = "\N{NON-BREAKING HYPHEN}"


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
        work: worker_plugin.MakeWork,
        preflight: Preflight,
        run_id: str,
        patience: float,
        stopping: Flag,
        is_limited: bool = False,
    ) -> None:
        """`is_limited`: workers share rates, so that none can join whose share was not counted at the start."""
        self._cluster = cluster
        self._own = None if cluster.scheduler else OwnCluster(cluster.workers, cluster.environment, UNITS_AHEAD)
        self._run_id = run_id
        self._patience = patience
        self._stopping = stopping
        self._members = Members(
            payload=pickle.dumps((work, preflight)),  # no secret can be pickled: one that would travel is seen here
            patience=patience,
            is_limited=is_limited,
            begin=self._begin,
            expected=cluster.workers if self._own is not None else 0,
        )
        self._connections = 0
        self._orders = Orders()
        self._waiting: deque[Order] = deque()
        self._given: dict[int, tuple[Future[None], frozenset[str]]] = {}
        self._ending: list[Future[None]] = []
        self._outboxes: dict[str, list[ToStation]] = {}
        self._stations: list[str] = []
        self._talk: set[asyncio.Task[None]] = set()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._failure: MigratorError | None = None
        self._ready = threading.Event()
        self._closing = False
        self._has_sent_stop = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="dask", daemon=True)
        self._client: Client | None = None
        self._topic = ""

    # --- the coordinator's side, in its thread ---

    @property
    def capacity(self) -> int:
        """Return how many units may be out: some for each worker that was found fit, at least for one."""
        return max(1, len(self._members.fit)) * UNITS_AHEAD

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Which workers were left out, and why."""
        return self._members.findings

    def __enter__(self) -> Dask:
        silence()
        if self._own is not None:
            self._own.fork()
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
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._wake)
        self._thread.join(3 * CLOSE_SECONDS)
        if self._own is not None:
            self._own.end()

    def submit(self, unit: Unit) -> None:
        """Hand a unit over to the loop's thread, which gives it to a worker."""
        self._loop.call_soon_threadsafe(self._accept, unit)

    def next_event(self, timeout: float) -> Event | None:
        """Return what a worker told next, None after `timeout` seconds without anything. Raises MigratorError if that ended the loop."""
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            if self._failure is not None:
                raise self._failure from None
            return None

    def acknowledge(self, event: UploadBegan) -> None:
        """Have the worker told that its upload is in the ledger."""
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
        self._wakes = asyncio.Event()
        async with AsyncExitStack() as stack:
            address = self._cluster.scheduler
            if self._own is not None:
                stack.push_async_callback(self._own.close)
                address = await self._own.open()
            while not self._closing:
                client = await client_of(
                    address,
                    self._own.security if self._own is not None else None,
                    patience=self._patience,
                    is_first=not self._connections,
                    is_over=self._is_over,
                    is_stopping=self._stopping.is_set,
                )
                if client is None:
                    return
                try:
                    await self._work_with(client)
                finally:
                    await within(CLOSE_SECONDS, client.close)
                self._start_over()

    def _is_over(self) -> bool:
        self._mind_stop()
        return self._closing

    async def _work_with(self, client: Client) -> None:
        """Until the end, or until the connection is lost."""
        self._connections += 1
        self._topic = f"bytes-migrator-{self._run_id}-{self._connections}"
        await self._members.refuse_mixed_versions(client)
        client.subscribe_topic(self._topic, self._hear)
        self._members.begin_waiting()
        self._client, seen_at = client, 0.0
        while not self._closing:
            if client.status != "running":
                return
            if time.monotonic() - seen_at >= (_SEEN_EVERY if self._ready.is_set() else _TICK_AT_FIRST):
                seen_at = time.monotonic()
                if not await self._members.see(client, self._topic):
                    return
            if self._members.are_ready(is_stopping=self._stopping.is_set()):
                self._ready.set()
            self._mind_stop()
            for order in list(self._orders.open.values()):
                await self._mind(order)
            self._give_out()
            await self._rest(_TICK if self._ready.is_set() else _TICK_AT_FIRST)
        await self._part(client)

    async def _part(self, client: Client) -> None:
        """Leave nothing of this run with the workers."""
        for future, _ in self._given.values():
            future.release()
        self._ending.clear()
        fit = sorted(self._members.fit)
        if fit and not self._orders.open and not self._stopping.is_set():
            run = partial(client.run, worker_plugin.finish, self._topic, workers=fit, on_error="ignore")
            await within(CLOSE_SECONDS, run)
        if self._own is None:
            await within(CLOSE_SECONDS, partial(client.unregister_worker_plugin, self._topic))

    def _wake(self) -> None:
        self._wakes.set()

    async def _rest(self, seconds: float) -> None:
        """Until it is time to look around again, or to end."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._wakes.wait(), seconds)

    # --- units out, events in ---

    def _accept(self, unit: Unit) -> None:
        self._waiting.append(self._orders.give(unit))
        self._give_out()

    def _give_out(self) -> None:
        client, allowed = self._client, self._members.fit
        while allowed and self._waiting and client is not None and client.status == "running":
            order = self._waiting.popleft()
            order.delivery += 1
            key = (shown_as(order.organization), self._topic, order.number, order.delivery)
            future = client.submit(
                worker_plugin.carry_out,
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
        is_orphan = not self._members.is_here(order.at) and not self._members.are_here(allowed)
        if future.status == "error":
            error = await future.exception()
            if isinstance(error, KilledWorker):
                self._end(order, _shard_kills(order))
            elif type(error).__name__ in worker_plugin.LEFT:
                self._give_anew(order)
            else:
                self._end(order, unexpected(error))
        elif future.status != "pending" or is_orphan:
            self._give_anew(order)

    def _give_anew(self, order: Order) -> None:
        future, _ = self._given.pop(order.number)
        future.release()
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
                    given[0].release()
                self._end(order)
        if not self._has_sent_stop:
            self._has_sent_stop = True
            for address in self._members.fit:
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
        self._ending.clear()
        self._members.forget()
        self._outboxes.clear()

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        said = worker_plugin.unpacked(event[1]["said"])
        address = event[1]["worker"]
        if isinstance(said, Began):
            if self._stopping.is_set():
                self._say(address, Admit(said.attempt, None))
                return
            order, undone = self._orders.admit(said.number, said.delivery, said.attempt, address)
            self._pass_on(undone)
            self._say(address, Admit(said.attempt, tuple(order.uploads.values()) if order is not None else None))
            return
        taken = said.event
        if isinstance(taken, UploadBegan):
            taken = taken._replace(worker=len(self._stations))
            self._stations.append(address)
        for passed in self._orders.take(said.attempt, taken):
            self._events.put(passed)
            if isinstance(passed, UnitEnded):
                self._let_end()

    def _let_end(self) -> None:
        """A unit has ended, and its task will in a moment: dropping the future before would cancel it, unseen by the dashboard."""
        ended = [self._given.pop(number)[0] for number in list(self._given) if number not in self._orders.open]
        self._ending = [future for future in (*self._ending, *ended) if future.status == "pending"]

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
                    client.run(worker_plugin.receive, self._topic, batch, workers=[address], on_error="ignore"),
                    CHECK_SECONDS,
                )
        if self._outboxes.get(address) is outbox:
            del self._outboxes[address]

    def _begin(self, talk: Awaitable[None]) -> None:
        talking: asyncio.Task[None] = asyncio.ensure_future(talk, loop=self._loop)
        self._talk.add(talking)
        talking.add_done_callback(self._talk.discard)


def _shard_kills(order: Order) -> MustStop:
    return MustStop(
        "shard-kills-workers",
        f"Several workers were lost one after another at the shard {order.prefix or '(all)'} of {order.organization}.",
        why="They may run out of memory, or be killed by a supervisor.",
        cure="See the workers' logs, then rerun.",
    )


def shown_as(organization: str) -> str:
    """How Dask's dashboard groups an organization's units: it cuts names at hyphens and digits, and hides those that look like digests."""
    shown = organization.replace("-", _NO_BREAK)
    return f"{shown}{_NO_BREAK}" if len(shown) == _DIGEST_LENGTH else shown
