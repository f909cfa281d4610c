"""Lines that fit a terminal: text wraps at spaces, rows of tables and lines to paste stay whole.

In: lines and the terminal's width in columns. Out: one text. Imports the formatting of names and numbers alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from migrator.reports.formatting import Whole, columns_of

NARROWEST = 40
"""Columns; below that, wrapped text is harder to read than lines that the terminal breaks itself."""
_LABEL = re.compile(r" *(?:(?:why|cure|pass|warning|error): +|\d+\. |[A-Za-z]+(?: [a-z]+)? {2,}|level )?")
"""What later lines are indented below: a label with its colon, a number, or a word in a column of its own."""
_TO_PASTE = re.compile(r" {5,}(?! |why: |cure: )|\s*\$ ")


def joined(lines: Iterable[str], width: int | None) -> str:
    """The lines as one text, no line longer than `width` columns where spaces allow it; None for no limit."""
    if width is None:
        return "\n".join(lines)
    return "\n".join(part for line in lines for part in wrapped(line, max(NARROWEST, width)))


def wrapped(line: str, width: int) -> Iterator[str]:
    """The line in parts of at most `width` columns; later parts are indented below the text of the first."""
    if isinstance(line, Whole) or _TO_PASTE.match(line) or columns_of(line) <= width:
        yield line
        return
    label = _LABEL.match(line)
    start = label.group() if label else ""
    indent = " " * (len(start) if start.strip() else len(start) + 2)
    if columns_of(indent) > width // 2:
        indent = "  "
    part = start
    begun = False
    for word in line[len(start) :].split(" "):
        if begun and columns_of(part) + 1 + columns_of(word) > width:
            yield part.rstrip()
            part, begun = indent, False
        part += f" {word}" if begun else word
        begun = True
    yield part
