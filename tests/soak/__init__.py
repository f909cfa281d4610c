"""Trials that prove what `docs/reliability-goals.md` says: kills, power cuts, crashes at every system call, faults for hours, memory.

Built on the tests' servers, fault proxy and oracle; run by `scripts/soak`, `scripts/powercut` and `scripts/reliability`.
"""
