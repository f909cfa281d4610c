"""Who is in the cluster: which workers get units, which are left out, and which are given up because nothing is heard of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from distributed import Client

from migrator.core.errors import CannotStart, MustStop
from migrator.core.findings import Finding
from migrator.engines.dask import worker_plugin
from migrator.engines.dask.connection import within
from migrator.engines.worker_admission import RegisteredWorker, WorkerRegistry, stays_private

UNITS_AHEAD = 4
"""Units under way or waiting for each worker: the bound of what is in flight. As many threads of a worker wait for them."""
CHECK_SECONDS = 60.0
ASKED_SECONDS = 10.0
OTHERS_SECONDS = 5.0
"""How long those who are fit already wait at the start for others that are being looked at."""
LEAST_SILENCE, MOST_SILENCE = 10.0, 60.0

Begin = Callable[[Awaitable[None]], None]
"""Has something done beside all else."""


class Members:
    """Used within the loop of the client alone, but for `findings`."""

    def __init__(self, *, payload: bytes, patience: float, is_limited: bool, begin: Begin, expected: int = 0) -> None:
        """`payload` as of StationPlugin. `is_limited`: nobody can join whose share was not counted. `expected`: so many come."""
        self._payload = payload
        self._patience = patience
        self._silence = max(LEAST_SILENCE, min(MOST_SILENCE, patience / 2))
        self._is_limited = is_limited
        self._begin = begin
        self._expected = expected
        self._places = WorkerRegistry()
        self._shares = 0
        self._was_met = False
        self._fit_at = time.monotonic()

    @property
    def fit(self) -> frozenset[str]:
        """Addresses of those that get units."""
        return self._places.fit

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Who was left out or given up, and why."""
        return self._places.findings

    def is_here(self, address: str) -> bool:
        """Return True if a worker of this address takes part now."""
        return address in self._places.here

    def are_here(self, addresses: frozenset[str]) -> bool:
        """Whether any of them is."""
        return bool(addresses & self._places.here.keys())

    def forget(self) -> None:
        """The connection is lost: who is there has to be seen anew."""
        self._places.forget_all()
        self._shares = 0

    async def refuse_mixed_versions(self, client: Client) -> None:
        """Compare versions with the scheduler and all workers; who does not answer is compared later.

        Raises:
            CannotStart: If one has another version of this program, of distributed or of Python.
        """
        ours, ask_versions = versions_here(), versions_teller()
        found: dict[str, object] = {"the scheduler": await client.run_on_scheduler(ask_versions)}
        said = [self._versions_of(client, ask_versions, address) for address in await _addresses(client)]
        found |= {f"worker {address}": answer for address, answer in await asyncio.gather(*said) if answer is not None}
        other = {who: answer for who, answer in found.items() if answer != ours and not isinstance(answer, OSError)}
        if other:
            who, answer = next(iter(other.items()))
            raise CannotStart(
                "mixed-versions",
                f"{who.capitalize()} has other versions than this program: {versions_in_words(answer)}; here: {versions_in_words(ours)}.",
                why="They may not understand each other.",
                cure="Install the same version everywhere, or use the same container image.",
            )

    async def _versions_of(
        self, client: Client, ask_versions: Callable[[], object], address: str
    ) -> tuple[str, object]:
        """What a worker answers; None if nothing."""
        run = client.run(ask_versions, workers=[address], on_error="return")
        try:
            return address, (await asyncio.wait_for(run, ASKED_SECONDS)).get(address)
        except asyncio.TimeoutError:
            return address, None

    async def see(self, client: Client, topic: str) -> bool:
        """Look at who is there, begin to try out new workers, and give up silent ones; return False if the scheduler is silent.

        Raises:
            CannotStart: If a connection of the cluster would go over a network without TLS.
        """
        now = time.monotonic()
        try:
            known: Any = await asyncio.wait_for(client.scheduler.identity(n_workers=-1), CHECK_SECONDS)
        except (OSError, asyncio.TimeoutError):
            return False
        for address in (known["address"], *known["workers"]):
            if not stays_private(address):
                raise CannotStart(
                    "not-encrypted",
                    f"{address} in this cluster is reached over a network without TLS.",
                    why="Others could read along, and have the workers do anything.",
                    cure="Use tls:// and certificates, or --host 127.0.0.1 on one machine.",
                )
        workers = known["workers"]
        named = {address: f"{worker['name']} ({address})" for address, worker in workers.items()}
        heard = {address: float(worker["last_seen"]) for address, worker in workers.items()}
        for address in self._places.silent(heard, self._silence):
            await self._give_up(client, address, named.pop(address))
        if not self._shares and len(named) >= max(1, self._expected):
            self._shares = len(named)
            plugin = worker_plugin.StationPlugin(topic, self._payload, self._shares)
            await within(ASKED_SECONDS, partial(client.register_plugin, plugin, topic))
        if self._shares:
            for place in self._places.see(named, now):
                self._begin(self._check(client, topic, place))
        return True

    async def _give_up(self, client: Client, address: str, name: str) -> None:
        """Have the scheduler take a worker for lost, as it would itself after five minutes: its shards go to others."""
        reason = f"Nothing was heard of it for {self._silence:.0f} seconds: it is stopped, or its host overloaded. Others do its shards."
        self._places.give_up(address, name, reason)
        await within(ASKED_SECONDS, partial(client.run_on_scheduler, _remover(), address=address))

    async def _check(self, client: Client, topic: str, place: RegisteredWorker) -> None:
        ours = versions_here()
        refusal = ""
        try:
            run = partial(client.run, workers=[place.address], on_error="return")
            said = (await asyncio.wait_for(run(versions_teller()), CHECK_SECONDS)).get(place.address)
            if said != ours:
                refusal = f"It has other versions: {versions_in_words(said)}; here: {versions_in_words(ours)}."
            elif self._is_limited and len(self._places.fit) >= self._shares:
                refusal = "It joined after the limits were shared out."
            else:
                answer = (await asyncio.wait_for(run(worker_plugin.preflight, topic), CHECK_SECONDS)).get(place.address)
                refusal = str(answer) if answer is not None else ""
        except asyncio.TimeoutError:
            refusal = f"It did not answer within {CHECK_SECONDS:.0f} seconds: a mount may hang."
        except OSError as error:
            refusal = f"It cannot be reached ({error})."
        self._places.judge(place, refusal)

    def are_ready(self, *, is_stopping: bool) -> bool:
        """Whether units can be given out. Raises CannotStart where none will be, MustStop where none came back within patience."""
        now, places = time.monotonic(), self._places
        if places.fit or is_stopping:
            is_looking = any(place.is_fit is None for place in places.here.values())
            if not self._was_met and is_looking and not is_stopping and now - self._fit_at < OTHERS_SECONDS:
                return False  # the first units are for all who are there
            self._fit_at = now
            self._was_met = self._was_met or bool(places.fit)
            return bool(places.fit)
        seconds, is_first = now - self._fit_at, not self._was_met
        all_refused = bool(places.here) and all(place.is_fit is False for place in places.here.values())
        limit = min(self._patience, CHECK_SECONDS) if is_first else self._patience
        if seconds < limit and not (is_first and all_refused):
            return False
        kind = CannotStart if is_first else MustStop
        again = "" if is_first else " Then rerun the same command to resume."
        if all_refused:
            raise kind(
                "no-worker-fits",
                f"None of {len(places.here)} Dask workers can do its part. {'; '.join(places.reasons[:5])}",
                cure=f"Put that right at the workers.{again}",
            )
        raise kind(
            "no-workers",
            f"There is no Dask worker, for {seconds:.0f} seconds.",
            cure=f"Start workers: dask worker SCHEDULER --nthreads {UNITS_AHEAD}.{again}",
        )

    def begin_waiting(self) -> None:
        """From now on a fit worker is waited for."""
        self._fit_at = time.monotonic()


async def _addresses(client: Client) -> list[str]:
    known: Any = await asyncio.wait_for(client.scheduler.identity(n_workers=-1), CHECK_SECONDS)
    return list(known["workers"])


def _remover() -> Callable[..., Awaitable[None]]:
    """A function that travels with its code, for the scheduler need not have this module's newest form."""

    async def remove(address: str, dask_scheduler: Any) -> None:
        await dask_scheduler.remove_worker(address=address, stimulus_id=f"bytes-migrator-silent-{address}")

    return remove


Versions = tuple[str, str, str]
"""Of bytes-migrator, distributed and Python."""


def versions_here() -> Versions:
    """Return the versions of this program, of distributed and of Python, in this process."""
    found: Versions = versions_teller()()
    return found


def versions_teller() -> Callable[[], Versions]:
    """A function that travels with its code: whoever runs it need not have this module."""

    def versions() -> Versions:
        import importlib  # noqa: PLC0415
        import sys  # noqa: PLC0415

        def version(name: str) -> str:
            try:
                return str(importlib.import_module(name).__version__)
            except ImportError:
                return "none"

        return version("migrator"), version("distributed"), f"{sys.version_info[0]}.{sys.version_info[1]}"

    return versions


def versions_in_words(said: object) -> str:
    """Return versions as a part of a sentence, or the reason for which they could not be asked."""
    if not isinstance(said, tuple):
        return f"they could not be asked ({said})"
    return f"bytes-migrator {said[0]}, distributed {said[1]}, Python {said[2]}"
