"""Make docs/troubleshooting.md, and what `bytes-migrator explain` prints, from the errors and findings in the code.

    scripts/troubleshooting.py           writes both files

Messages, page and `explain` have the same text, so none can lag behind the others.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
KINDS = {
    "SettingsError": "Nothing was done. Exit status 2.",
    "CannotStart": "Nothing was moved. Exit status 3.",
    "MustStop": "The run stopped; rerun to resume. Exit status 3.",
    "LedgerBusy": "Another run is in progress. Exit status 4.",
    "Finding": "A finding of `doctor`, `plan` or `migrate`.",
    "Vanished": "One raw file.",
    "Unreadable": "One raw file or folder.",
    "SourceChanged": "One raw file; it is read again.",
    "NotTheSame": "One raw file; it is tried again, and does not count as copied.",
    "AlreadyThere": "One raw file; nothing was overwritten.",
    "AccessDenied": "One raw file; the whole run if nothing succeeds.",
    "Archived": "One raw file; the others continue.",
    "BucketFull": "A bucket's raw files; the others continue. Stops the run if there is no other bucket.",
    "BucketMissing": "One raw file, or the whole run.",
    "StoreFull": "Stops the run; rerun to resume.",
    "Interrupted": "The run was asked to stop; rerun to resume.",
    "Unavailable": "Tried again until `--patience` ends. Then the run stops with 3; rerun to resume.",
    "StoreError": "One raw file, or the whole run.",
    "MigratorError": "Exit status 3.",
}
_NOTHING = re.compile(r"(‹[^›]*›[ .:]*)*")
"""Text of which nothing is known beforehand."""
_NOTHING_IN = re.compile(r"‹[^›]*›")
_DETAIL = re.compile(r" \(‹[^›]*›\)")
"""A detail in brackets, such as a code, that is another each time."""
LONG = 15
"""Words from which a text is said once on the page."""
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
HEAD = """# Troubleshooting

Each error and finding ends with its name in brackets (`name` in `--json`). Find it below, or run `bytes-migrator explain` with it, offline.
What happened is quoted; the cause and the cure follow. `‹…›` stands for what differs. Exit statuses: [Recover](guides/recover.md).
"""
GROUPS = (
    ("A finding of doctor, plan or migrate", ("Finding", "")),
    ("Nothing was done: options and settings", ("SettingsError",)),
    ("The run did not start: locations, rights, locks", ("CannotStart", "LedgerBusy", "MigratorError")),
    ("The server did not answer as it should", ("Unavailable",)),
    ("The run stopped", ("MustStop", "StoreFull", "Interrupted", "BucketFull")),
    ("The server refused", ("AccessDenied",)),
    ("A raw file arrived as something else", ("NotTheSame",)),
    ("A raw file, folder or bucket failed", tuple(KINDS)),
)
"""What an operator sees, and the kinds of error behind it; the first group with a kind of the entry takes it."""
MAKERS = ("warned", "failed")
"""Functions of doctor/finding_shorthands.py: name, what was seen, why, cure."""
FINDING_NAMES = {
    node.targets[0].id: node.value.value
    for node in ast.parse((ROOT / "migrator" / "doctor" / "finding_names.py").read_text()).body
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Constant)
}
"""Constant → name of the finding."""
PAGE = ROOT / "docs" / "troubleshooting.md"
DATA = ROOT / "migrator" / "reports" / "text" / "troubleshooting.json"


class Message(NamedTuple):
    """One place in the code that tells an operator something. Texts with a mark where they differ from case to case."""

    name: str
    kind: str
    what: str
    why: str
    cure: str


@functools.cache
def messages_in(folder: Path) -> tuple[Message, ...]:
    return tuple(_read(folder))


def _read(folder: Path) -> Iterator[Message]:
    modules = {path: ast.parse(path.read_text()) for path in sorted(folder.rglob("*.py"))}
    constants = {path: _constants_of(module) for path, module in modules.items()}
    for path, module in modules.items():
        imported = {
            alias.asname or alias.name: constants[origin][alias.name]
            for node in module.body
            if isinstance(node, ast.ImportFrom) and node.module
            for origin in [folder.parent / f"{node.module.replace('.', '/')}.py"]
            for alias in node.names
            if alias.name in constants.get(origin, {})
        }
        for node in ast.walk(module):
            if isinstance(node, ast.Call):
                yield from _messages_of(node, imported | constants[path])


def _constants_of(module: ast.Module) -> dict[str, str]:
    """The texts of a module's constants, by name."""
    return {
        target.id: _text(node.value, {})
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _messages_of(call: ast.Call, constants: Mapping[str, str]) -> Iterator[Message]:
    words = {keyword.arg: keyword.value for keyword in call.keywords}
    name = words.get("name") or (call.args[0] if call.args else None)
    kind = call.func.id if isinstance(call.func, ast.Name) else ""
    if isinstance(name, (ast.Name, ast.Attribute)):
        named = FINDING_NAMES.get(name.id if isinstance(name, ast.Name) else name.attr, "")
    else:
        named = name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else ""
    if not _NAME.fullmatch(named) or kind == "passed":
        return
    if kind in MAKERS:
        texts = [*call.args[1:4], *[None] * 3][:3]
        yield Message(
            named, "Finding", *(_text(None if isinstance(text, ast.Starred) else text, constants) for text in texts)
        )
        return
    if kind not in KINDS and not {"cure", "seen"} & set(words):
        return
    what = words.get("what") or words.get("seen") or (call.args[1] if len(call.args) > 1 else None)
    yield Message(named, kind, *(_text(text, constants) for text in (what, words.get("why"), words.get("cure"))))


def _text(node: ast.expr | None, constants: Mapping[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _text(part.value if isinstance(part, ast.FormattedValue) else part, constants) for part in node.values
        )
    if isinstance(node, ast.BinOp):
        return _text(node.left, constants) + _text(node.right, constants)
    if isinstance(node, ast.IfExp):
        return _text(node.body, constants)
    if isinstance(node, ast.Name) and "‹" not in constants.get(node.id, "‹"):
        return constants[node.id]
    if isinstance(node, (ast.Name, ast.Attribute)):
        found = (node.id if isinstance(node, ast.Name) else node.attr).strip("_").lower().replace("_", " ")
        return f"‹{found}›"
    return "" if node is None else "‹…›"


def entries_in(folder: Path) -> dict[str, list[Message]]:
    """Name → its texts, each once, in the order of names."""
    names: dict[str, list[Message]] = {}
    for message in messages_in(folder):
        entries = names.setdefault(message.name, [])
        if message not in entries:
            entries.append(message)
    return dict(sorted(names.items()))


def group_of(entries: list[Message]) -> str:
    kinds = {one.kind if one.kind in KINDS else "" for one in entries}
    return next((title for title, of in GROUPS if kinds & set(of)), GROUPS[-1][0])


def page(folder: Path) -> str:
    entries = entries_in(folder)
    grouped = {title: [name for name in entries if group_of(entries[name]) == title] for title, _ in GROUPS}
    index = "".join(
        f"\n**{title}:** {', '.join(f'[{name}](#{name})' for name in names)}\n"
        for title, names in grouped.items()
        if names
    )
    seen: dict[str, str] = {}
    parts = (_group(title, {name: entries[name] for name in names}, seen) for title, names in grouped.items() if names)
    return HEAD + index + "".join(parts)


def _group(title: str, entries: Mapping[str, list[Message]], seen: dict[str, str]) -> str:
    """A heading, what most of its entries mean for the run, and the entries; the others say what they mean."""
    [(common, _)] = Counter(kind for one in entries.values() for kind in _kinds(one)).most_common(1)
    holds = "" if common == KINDS["Finding"] else f"\n{common} Exceptions say so.\n"
    return f"\n## {title}\n{holds}" + "".join(_entry(name, one, common, seen) for name, one in entries.items())


def data(folder: Path) -> str:
    """The same as JSON, for `bytes-migrator explain`."""
    document = {
        name: {"group": group_of(entries), "kinds": _kinds(entries), "texts": sorted({one[2:] for one in entries})}
        for name, entries in entries_in(folder).items()
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _kinds(entries: list[Message]) -> list[str]:
    return list(dict.fromkeys(KINDS[one.kind] for one in entries if one.kind in KINDS))


def _entry(name: str, entries: list[Message], common: str, seen: dict[str, str]) -> str:
    """One name. `seen` has the longer texts of the entries before, and where they stand: they are not said twice."""
    kinds = [kind for kind in _kinds(entries) if kind != common]
    lines = [f"\n### {name}\n", *(f"{kind}\n" for kind in kinds)]
    before = ("", "")
    for (why, cure), alike in groupby(sorted(set(entries), key=lambda one: one[3:]), key=lambda one: one[3:]):
        whats = {_NOTHING_IN.sub("‹…›", one.what): one.what for one in sorted(alike, reverse=True)}
        known = [what for what in sorted(whats.values()) if not _NOTHING.fullmatch(what.strip())]
        quoted = [f"> {_escaped(what)}" for what in known or sorted(whats.values())[:1]]
        cause = "" if why == before[0] else _paragraph("", why, name, seen)
        lines.append(
            "\n\n".join(
                filter(None, [*quoted, cause, "" if cure == before[1] else _paragraph("**Do:** ", cure, name, seen)])
            )
            + "\n"
        )
        before = (why, cure)
    return "\n".join(lines)


def _paragraph(label: str, text: str, name: str, seen: dict[str, str]) -> str:
    if _NOTHING.fullmatch(text.strip()):
        return ""
    first = seen.setdefault(text, name) if len(text.split()) >= LONG else name
    return f"{label}{_escaped(text)}" if first == name else f"{label}as for [{first}](#{first})."


def _escaped(text: str) -> str:
    text = _DETAIL.sub("", " ".join(text.split())) or "‹…›"
    return re.sub(r"([*_<>\[\]|])", r"\\\1", text)


if __name__ == "__main__":
    PAGE.write_text(page(ROOT / "migrator"))
    DATA.write_text(data(ROOT / "migrator"))
