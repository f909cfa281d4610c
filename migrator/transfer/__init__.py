"""The sink that copies, and what decides about contents: equality, retries, limits, concurrency.

In: steps from `sync`. Out: results, each proven on the way.
May import: `core`, `config`, `sync`.
"""
