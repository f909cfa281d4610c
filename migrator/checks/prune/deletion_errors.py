"""The errors that end a deletion, and how a store's error becomes one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from migrator.core.errors import Interrupted, MustStop, SourceChanged, StoreError


@contextmanager
def surprising() -> Iterator[None]:
    """Let what a store says in the block end the run; being asked to stop is no surprise.

    Raises:
        Interrupted: If the run is asked to stop.
        MustStop: If a store fails.
    """  # noqa: DOC501 made by surprise
    try:
        yield
    except Interrupted:
        raise
    except StoreError as error:
        raise surprise(error.what) from error


def surprise(what: str) -> MustStop:
    """Return the error that ends the deletion, since something is not as it was proven."""
    return MustStop(
        "prune-surprise",
        what,
        why="Something changed after the proof, or deleting failed.",
        cure="Look at it, then rerun, without --confirm first. The manifest lists what is deleted.",
    )


def same_place(why: str) -> MustStop:
    """Return the error that ends a run whose source is its target under another name."""
    return MustStop(
        "same-place",
        "Source and target are one place under two names.",
        why=why,
        cure="Check --from and --to, endpoints and mounts. Nothing was deleted there.",
    )


def changed(where: str) -> SourceChanged:
    """For removers: the source is not what was read."""
    return SourceChanged("source-changed", f"{where} changed since it was read; it is kept.")
