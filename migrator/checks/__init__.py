"""Proofs without copying: `verify` (both ends), `audit` (Bytes' database), `prune` (before anything is deleted).

In: two `Source`s, rows, manifests. Out: results and rows of proofs. Only `prune` deletes, through a `Remover`.
May import: `core`, `config`, `sync`, `transfer`.
"""
