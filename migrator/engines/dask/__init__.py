"""The engine of many machines: units are tasks of a Dask cluster.

The client lives in a thread with a loop of its own. On each worker a plugin holds the run's `Station`; a task brings it one unit and waits.
Events come back by a topic of the scheduler, answers go out by functions run at the worker: nothing needs a connection of its own, and
nothing but settings without keys, units and events travels. Dask places and steals tasks, and runs them anew when a worker is lost;
`Orders` sees to it that each counts once.

In: units, a scheduler's address, settings without keys. Out: events, and findings about workers that were left out.
May import: as `engines`; dask and distributed here alone.
"""

from migrator.engines.dask.engine import Cluster, Dask

__all__ = ["Cluster", "Dask"]
