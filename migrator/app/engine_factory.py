"""Spreads a run over threads, processes or a Dask cluster."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from migrator.app.dask_setup import Spread, dask_engine, processes_here
from migrator.app.options import EngineName
from migrator.app.worker_config import WorkerConfig, work_by_recipe
from migrator.core.cancellation import Flag
from migrator.engines.processes import Processes
from migrator.engines.single_thread import Threads
from migrator.stores.s3.boto3_clients import make_ahead
from migrator.transfer.throttle import Throttle


@contextmanager
def engine_of(
    recipe: WorkerConfig, organizations: Sequence[str], throttle: Throttle, stopping: Flag
) -> Iterator[Spread]:
    """The engine that was asked for; `processes` if none was. Raises MigratorError where it cannot be had."""
    opened: AbstractContextManager[Spread]
    with ExitStack() as stack:
        if recipe.options.engine == EngineName.DASK:
            opened = dask_engine(recipe, organizations, stopping, stack)
        elif recipe.options.engine == EngineName.LOCAL:
            opened = Threads(partial(work_by_recipe, recipe, throttle, stopping), stopping=stopping)
        else:
            opened = _processes(recipe, throttle, stopping)
        yield stack.enter_context(opened)


def _processes(recipe: WorkerConfig, throttle: Throttle, stopping: Flag) -> Processes:
    """As many processes as there are cores to use, with the requests under way shared out among them."""
    workers = processes_here(recipe.jobs)
    make_ahead(end.access for end in recipe.s3_ends)
    gc.freeze()  # what is here by now stays, and workers need not look through it
    shared = replace(recipe, jobs=-(-recipe.jobs // workers))
    work = partial(work_by_recipe, shared, throttle, stopping, ends_answered=True)
    return Processes(work, workers=workers, stopping=stopping)
