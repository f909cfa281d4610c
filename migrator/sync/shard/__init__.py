"""One shard's way through the main loop: three generators (list both ends, decide, count), and who follows the outcomes.

In: a `Pass`, which all shards share, and an `Assignment`. Out: steps for the sink, and events with outcomes and totals.
May import: as `sync`.
"""
