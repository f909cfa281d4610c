"""The main loop: scan both ends, compare, decide, hand to a sink, count; for one shard, one worker, one run.

In: two `Source`s, `Rules`, a `Sink`. Out: events with outcomes and totals. What is copied or read is the sink's business.
May import: `core`, `config`, `ledger`.
"""
