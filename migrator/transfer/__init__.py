"""The sink that copies, and what decides how: retries, limits, concurrency.

In: steps from `sync`. Out: results, each proven on the way.
May import: `core`, `config`, `sync`.
"""
