"""The composition root: names the concrete stores, engine and sinks, and puts each command together from them.

In: options and `Locations` from `cli`. Out: a report, as a value of `reports`, with its exit status. A module for each command
(`plan` is in `migrating`; a switch is planned by `switch_plan` and carried out by `switch_copy_first` or `switch_read_through`), and for
what several share: `options` (what was asked), `stopping` (what ends a run), `store_factory` (stores and ledger), `run_memory` (what a run
knows and keeps), `first_checks` and `first_check_result` (what is looked at before a run, and found), `worker_config` and `engine_factory`.
May import: everything but `cli`.
"""
