"""Locations opened for work: on disk, on S3, or a manifest in the place of one.

In: locations from `config`. Out: `Source`s and `Target`s of `core.protocols`, `Remover`s of `checks.prune`, and the lanes
between them.
May import: `core`, `config`, `doctor`, `ledger`, `sync`, `transfer`, `checks`.
"""
