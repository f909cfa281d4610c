"""The composition root: names the concrete stores, engine and sinks, and puts each command together from them.

In: options and `Locations` from `cli`. Out: a report, as a value of `reports`, with its exit status. A module for each command, and for
what several share: `options` (what was asked), `store_factory` (stores and ledger), `run_state` (what a run knows and keeps),
`first_checks` (what is looked at before a run), `worker_config` and `engine_factory` (who does the work).
May import: everything but `cli`.
"""
