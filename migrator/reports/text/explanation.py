"""What an error or finding means, offline: the entries of docs/troubleshooting.md, kept as data beside this module.

In: a name. Out: lines. The data is made by scripts/troubleshooting.py from the messages in the code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_DATA = Path(__file__).with_name("troubleshooting.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """An entry. `texts` are (what, why, cure); an empty one is left out."""

    name: str
    group: str
    kinds: tuple[str, ...]
    texts: tuple[tuple[str, str, str], ...]


def explanations() -> Mapping[str, Explanation]:
    """Return every entry by its name, in alphabetical order."""
    found = json.loads(_DATA.read_text(encoding="utf-8"))
    return {
        name: Explanation(
            name=name,
            group=entry["group"],
            kinds=tuple(entry["kinds"]),
            texts=tuple((what, why, cure) for what, why, cure in entry["texts"]),
        )
        for name, entry in found.items()
    }


def explanation_lines(entry: Explanation) -> Iterator[str]:
    """The entry: what kind of message it is, then each wording with its cause and cure."""
    yield entry.name
    yield from (f"  {kind}" for kind in entry.kinds)
    for what, why, cure in entry.texts:
        yield ""
        yield what or "‹…›"
        if why.strip("‹…› "):
            yield f"  why:  {why}"
        if cure.strip("‹…› "):
            yield f"  cure: {cure}"


def index_lines(entries: Mapping[str, Explanation]) -> Iterator[str]:
    """All names by what an operator sees."""
    groups: dict[str, list[str]] = {}
    for name, entry in entries.items():
        groups.setdefault(entry.group, []).append(name)
    for group, names in groups.items():
        yield group
        yield f"  {' '.join(names)}"
        yield ""
    yield "One of them: bytes-migrator explain NAME"
