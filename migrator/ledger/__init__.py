"""What earlier runs proved and what happened to them: one SQLite file for each pair of locations, and who may open it.

In: finished folders, provisional copies, uploads, problems, runs. Out: the same again, each sealed; damage is dropped.
May import: `core`, `config`.
"""
