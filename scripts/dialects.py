"""Makes docs/dialects.md from the tests' table of dialects: ``dialects.py > docs/dialects.md``.

Each line of the page is a row that the tests run, or several with the same end, so the page cannot promise what is not held.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HEAD = """# Dialects of S3

Servers, proxies and policies differ from AWS S3, and from each other. This page lists what was met and what the program does about it.
Each line is held by tests in `tests/dialects/`, with libcurl and with boto3 alone. A way around is for the migration only: where Bytes'
own calls would fail, `doctor` and `migrate` report `bytes-calls`.
"""
_COLUMNS = "\n| met at | what is different | what the program does |\n|---|---|---|\n"


def page() -> str:
    """The whole page: a table for each file of rows, under the first line of its docstring."""
    sys.path.insert(0, str(ROOT))
    table = importlib.import_module("tests.dialects.table")
    return HEAD + "".join(_section(name, rows) for name, rows in table.all_rows().items())


def _section(name: str, rows: Any) -> str:
    title = (importlib.import_module(f"tests.dialects.{name}").__doc__ or name).strip().splitlines()[0].rstrip(".")
    told = (row for row in rows if row.met)
    merged = groupby(told, key=lambda row: (row.met, row.does, row.says.split()[0]))
    lines, last = [], ("", "")
    for (met, does, _), alike in merged:
        cells = (
            "the same" if met == last[0] else _cell(met),
            _cell(together([row.says for row in alike])),
            "as above" if does == last[1] else _cell(does),
        )
        lines.append(f"| {' | '.join(cells)} |\n")
        last = (met, does)
    return f"\n## {title}\n{_COLUMNS}{''.join(lines)}"


def together(texts: Sequence[str]) -> str:
    """Sentences as one, where they begin and end alike: 'Answers 500 once.' and 'Answers 503 once.' → 'Answers 500, 503 once.'"""
    split = [text.split() for text in dict.fromkeys(texts)]
    shortest = min(map(len, split))
    begin = next((at for at in range(shortest) if len({words[at] for words in split}) > 1), shortest)
    end = next((at for at in range(shortest - begin) if len({words[-1 - at] for words in split}) > 1), shortest - begin)
    if len(split) == 1 or begin + end < 3:
        return " ".join(dict.fromkeys(texts))
    between = [" ".join(words[begin : len(words) - end]) for words in split]
    return " ".join([*split[0][:begin], ", ".join(filter(None, between)), *split[0][len(split[0]) - end :]])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
