"""Makes docs/dialects.md from the tests' table of dialects: ``dialects.py > docs/dialects.md``.

Each line of the page is a row that the tests run, or several with the same end, so the page cannot promise what is not held.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HEAD = """# Dialects of S3

Servers, proxies and policies differ from AWS S3, and from each other: what was met, and **what the program does**. Tests in
`tests/dialects/` hold each line, with libcurl and with boto3 alone. A way around is for the migration only: where Bytes' own
calls would fail, `doctor` and `migrate` report `bytes-calls`.
"""


def page() -> str:
    """The whole page: a table for each file of rows, under the first line of its docstring."""
    sys.path.insert(0, str(ROOT))
    table = importlib.import_module("tests.dialects.table")
    return HEAD + "".join(_section(name, rows) for name, rows in table.all_rows().items())


def _section(name: str, rows: Any) -> str:
    """A line for each thing that the program does: where it was met, and what is different there."""
    title = (importlib.import_module(f"tests.dialects.{name}").__doc__ or name).strip().splitlines()[0].rstrip(".")
    groups: dict[str, dict[str, list[str]]] = {}
    met = before = ""
    for row in (row for row in rows if row.met):
        met = met if row.met == "the same" else " ".join(row.met.split())
        places = groups.setdefault(" ".join(row.does.split()), {}).setdefault(met, [])
        says = " ".join(row.says.split())
        if says.startswith("The same, to"):
            says = says.replace("The same, to", "Also to") if places else f"{before.rstrip('.')}, {says[10:]}"
        else:
            before = says
        places.append(says)
    often = {does: places for does, places in groups.items() if len(places) > 1}
    once: dict[str, list[tuple[list[str], str]]] = {}
    for does, places in groups.items():
        for where, texts in places.items() if does not in often else ():
            once.setdefault(where, []).append((texts, does))
    lines = [f"- {where}: {_answers(where, answers)}\n" for where, answers in once.items()]
    lines += [f"- **{does}**\n{_places(places)}" for does, places in often.items()]
    return f"\n## {title}\n\n{''.join(lines)}"


def _answers(where: str, answers: Sequence[tuple[Sequence[str], str]]) -> str:
    """What is done there, each after its difference; a single one needs none where the place is named after it."""
    if len(answers) == 1 and _is_description(where):
        return f"**{answers[0][1]}**"
    by_difference: dict[str, list[str]] = {}
    for texts, does in answers:
        by_difference.setdefault(_difference(texts), []).append(does)
    return " ".join(f"{differs}: **{' '.join(does)}**" for differs, does in by_difference.items())


def _places(places: Mapping[str, Sequence[str]]) -> str:
    """Where one thing is done: the first difference of each place."""
    named = (met if _is_description(met) else f"{met}: {_difference(says)}" for met, says in places.items())
    return "".join(f"  - {one}\n" for one in named)


def _is_description(where: str) -> bool:
    """Whether the place is named after its difference: 'servers that lose the token'."""
    return " that " in where


def _difference(texts: Sequence[str]) -> str:
    """The first difference, with those that begin alike."""
    first = next(iter(groupby(dict.fromkeys(texts), key=lambda text: text.split()[0])))[1]
    return " ".join(together(list(first)).split()).rstrip(".")


def together(texts: Sequence[str]) -> str:
    """Sentences as one, where they begin and end alike: 'Answers 500 once.' and 'Answers 503 once.' → 'Answers 500, 503 once.'"""
    split = [text.split() for text in dict.fromkeys(texts)]
    shortest = min(map(len, split))
    begin = next((at for at in range(shortest) if len({words[at] for words in split}) > 1), shortest)
    end = next((at for at in range(shortest - begin) if len({words[-1 - at] for words in split}) > 1), shortest - begin)
    if len(split) == 1 or begin + end < 3:
        return " ".join(dict.fromkeys(texts))
    between = [" ".join(words[begin : len(words) - end]).rstrip(".") for words in split]
    return (
        " ".join([*split[0][:begin], ", ".join(filter(None, between)), *split[0][len(split[0]) - end :]]).rstrip(".")
        + "."
    )


if __name__ == "__main__":
    sys.stdout.write(page())
