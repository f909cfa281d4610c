"""The engine of many machines: units are tasks of a Dask cluster. The only package that knows dask and distributed.

The client lives in a thread with a loop of its own. On each worker a plugin holds the run's `Station`; a task brings it one unit and waits.
Events come back by a topic of the scheduler, answers go out by functions run at the worker: nothing needs a connection of its own, and
nothing but settings without keys, units and events travels. Dask places and steals tasks, and runs them anew when a worker is lost;
`Orders` sees to it that each counts once.

- `engine`: the coordinator's side: units out, events in
- `members`: who is in the cluster, who gets units, who is left out or given up
- `connection`: the way to a scheduler, and what is told where there is none
- `own`: a cluster of the run's own, forked on this machine
- `atworker`: what runs in the workers
- `versions`: that all run the same program
"""

from migrator.engines.dask.engine import Cluster, Dask

__all__ = ["Cluster", "Dask"]
