"""Which versions somebody runs: what they say to each other must mean the same to both."""

from __future__ import annotations

from collections.abc import Callable

Versions = tuple[str, str, str]
"""Of bytes-migrator, distributed and Python."""


def versions_here() -> Versions:
    """Return the versions of this program, of distributed and of Python, in this process."""
    found: Versions = versions_teller()()
    return found


def versions_teller() -> Callable[[], Versions]:
    """A function that travels with its code: whoever runs it need not have this module."""

    def versions() -> Versions:
        import importlib  # noqa: PLC0415
        import sys  # noqa: PLC0415

        def version(name: str) -> str:
            try:
                return str(importlib.import_module(name).__version__)
            except ImportError:
                return "none"

        return version("migrator"), version("distributed"), f"{sys.version_info[0]}.{sys.version_info[1]}"

    return versions


def versions_in_words(said: object) -> str:
    """Return versions as a part of a sentence, or the reason for which they could not be asked."""
    if not isinstance(said, tuple):
        return f"they could not be asked ({said})"
    return f"bytes-migrator {said[0]}, distributed {said[1]}, Python {said[2]}"
