"""Deletes at the source what the target proves to have: first a proof of everything, then batch by batch a second proof and the deletion.

In: two `Source`s, a `Remover`, an engine that spreads the work. Out: counts, problems, and a manifest of what went.
May import: as `checks`.
"""
