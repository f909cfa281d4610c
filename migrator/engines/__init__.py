"""What spreads units of work: threads, processes, or a Dask cluster.

In: units from the coordinator. Out: events from the workers.
May import: `core`, `sync`.
"""
