"""A location on disk: ``<data folder>/<organization>/<first 3 characters of id>/<id>``.

In: a data folder. Out: a source, a target whose batches survive a power cut, a remover.
May import: as `stores`.
"""
