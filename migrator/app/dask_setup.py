"""A run over a Dask cluster: what travels to workers elsewhere, and what stays here."""

from __future__ import annotations

import importlib.util
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from typing import Protocol

from migrator.app.dask_worker_check import check_by_recipe, mount_check
from migrator.app.options import EngineName
from migrator.app.worker_config import WorkerConfig, work_by_recipe
from migrator.core.cancellation import Flag
from migrator.core.errors import SettingsError
from migrator.core.findings import Finding
from migrator.doctor.finding_shorthands import warned
from migrator.sync.channel import Line
from migrator.sync.coordinator import Engine
from migrator.sync.messages import Unit
from migrator.sync.worker import Units
from migrator.transfer.throttle import Throttle

MOST_WORKERS = 4


class Spread(Engine, Protocol):
    """An engine, and what is to be told of its workers."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return a warning for each worker that was left out."""
        ...


def processes_here(jobs: int) -> int:
    """How many workers this machine can feed."""
    return max(1, min(len(os.sched_getaffinity(0)), MOST_WORKERS, jobs))


def dask_engine(
    recipe: WorkerConfig, organizations: Sequence[str], stopping: Flag, stack: ExitStack
) -> AbstractContextManager[Spread]:
    """Return Dask as an engine, with what its workers have to know.

    Raises:
        SettingsError: If Dask is not installed, or keys of two identities would have to travel.
    """
    if importlib.util.find_spec("distributed") is None or importlib.util.find_spec("cryptography") is None:
        raise SettingsError(
            "dask-missing",
            "--engine dask needs Dask, which is not installed.",
            cure=f"Install it: {sys.executable} -m pip install 'bytes-migrator[dask]'",
        )
    refuse_two_identities(recipe)
    from migrator.engines.dask import Cluster, Dask  # noqa: PLC0415 half a second, and only for this engine

    workers, scheduler = processes_here(MOST_WORKERS), recipe.options.scheduler
    travels = recipe.travelling()
    if not scheduler:  # processes of this machine share out what is under way, as those of the other engine do
        travels = replace(travels, jobs=-(-recipe.jobs // workers))
    signs = mount_check(recipe, organizations, stopping, stack)
    limits = recipe.options.limits
    return Dask(
        cluster=Cluster(scheduler=scheduler, workers=workers, environment=_keys_as_environment(recipe)),
        work=partial(make_work, travels),
        preflight=partial(check_by_recipe, travels, signs),
        run_id=recipe.run_id,
        patience=recipe.options.patience,
        stopping=stopping,
        is_limited=limits.bandwidth is not None or limits.requests is not None,
    )


def make_work(recipe: WorkerConfig, workers: int) -> Callable[[Flag, Units[Unit], Line], None]:
    """What one of so many workers does elsewhere: with its share of the limits, and temporary names of its own."""
    options = replace(recipe.options, limits=recipe.options.limits.shared_by(workers))
    own = replace(recipe, run_id=f"{recipe.run_id}-{secrets.token_hex(3)}", options=options)
    return partial(_work_elsewhere, own)


def _work_elsewhere(recipe: WorkerConfig, stopping: Flag, units: Units[Unit], line: Line) -> None:
    work_by_recipe(recipe, Throttle(recipe.options.limits, stopping), stopping, units, line)


def refuse_two_identities(recipe: WorkerConfig) -> None:
    """Refuse ends with different keys: a worker's environment holds one pair.

    Raises:
        SettingsError: If they have.
    """
    ends = recipe.s3_ends
    pairs = {(end.access.access_key_id, end.access.secret_access_key, end.access.session_token) for end in ends}
    if len(pairs) > 1:
        raise SettingsError(
            "two-identities",
            "The two ends have different keys, and --engine dask does not let keys travel.",
            why="Each worker's environment holds one pair of AWS_* keys.",
            cure=(
                "Put both into the workers' profiles, named by AWS_PROFILE in the env files, or use --engine processes."
            ),
        )


def _keys_as_environment(recipe: WorkerConfig) -> dict[str, str]:
    """Keys of env files for workers on this machine, which are its own processes: as an operator would export them."""
    for end in recipe.s3_ends:
        access = end.access
        if access.access_key_id is not None and access.secret_access_key is not None:
            keys = {
                "AWS_ACCESS_KEY_ID": access.access_key_id,
                "AWS_SECRET_ACCESS_KEY": access.secret_access_key.reveal(),
            }
            if access.session_token is not None:
                keys["AWS_SESSION_TOKEN"] = access.session_token.reveal()
            return keys
    return {}


def key_findings(recipe: WorkerConfig) -> Iterator[Finding]:
    """Keys that were given here and do not travel."""
    options = recipe.options
    given = any(end.access.access_key_id is not None for end in recipe.s3_ends)
    if options.engine != EngineName.DASK or not options.scheduler or not given:
        return
    yield warned(
        "keys-stay-here",
        "The keys of the env file are used by this process alone.",
        "Each Dask worker signs with the AWS_* settings of its own environment.",
    )
