"""The composition root: names the concrete stores, engine and sinks, and puts each command together from them.

A module for each command, or for what several share: `options` (what was asked), `opening` (stores and ledger), `memory` (what a run
knows and keeps), `planning` (the first look), `migrating` (plan and migrate), `uploads`, `reporting`.
"""
