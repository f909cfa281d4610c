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

Each error and finding ends with its name in brackets (`name` in `--json`). Find it below;
`bytes-migrator explain` prints every wording, offline.
`‹…›` stands for what differs. Exit statuses: [Recover](guides/recover.md).
"""
SETTINGS = "Nothing was done: options and settings"
GROUPS = (
    ("A finding of doctor, plan or migrate", ("Finding", "")),
    (SETTINGS, ("SettingsError",)),
    ("The run did not start: locations, rights, locks", ("CannotStart", "LedgerBusy", "MigratorError")),
    ("The server did not answer as it should", ("Unavailable",)),
    ("The run stopped", ("MustStop", "StoreFull", "Interrupted", "BucketFull")),
    ("The server refused", ("AccessDenied",)),
    ("A raw file arrived as something else", ("NotTheSame",)),
    ("A raw file, folder or bucket failed", tuple(KINDS)),
)
"""What an operator sees, and the kinds of error behind it; the first group with a kind of the entry takes it."""
THEMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("The command line: an option is missing, doubled, of another form, or has no effect here. "
     "Without a terminal, add `--yes`.",
     ("usage", "yes-missing", "option-without-effect", "option-without-end", "one-end", "no-end-on-s3",
      "uploads-only-on-s3", "report-form", "bytes-version-invalid", "name-unknown", "run-unknown")),
    ("Forms of values: `--bandwidth 20MB/s` or `\"08:00-18:00 5MB/s, 50MB/s\"`; `--max-requests 500/s`; ages as 2026-01-31, 90d, 12h; "
     "`--owner kat:kat` or `1000:1000`.",
     ("bandwidth", "max-requests", "age-unreadable", "ages-empty", "owner-invalid", "owner-unknown",
      "permission-invalid")),
    ("Locations: `disk`, `s3`, an env file, a path with a slash, or `'s3://bucket/{organization}'`; the server's address belongs to "
     "`--endpoint-url`, keys to an env file. Replace a key that was typed: the shell keeps it.",
     ("locations-missing", "location-unknown", "location-is-url", "location-template", "location-with-login", "same-place",
      "organization-unknown", "source-empty")),
    ("Bytes' settings name no place, or another than you think: set `S3_BUCKET` and `BUCKET_PER_ORG=false`, or `S3_BUCKET_PREFIX` and "
     "`BUCKET_PER_ORG=true`, or `BYTES_DATA_DIR` with its full path.",
     ("s3-not-set", "bucket-name-empty", "bucket-name-url", "bucket-per-org-invalid", "bytes-settings-unknown",
      "data-dir-characters", "data-dir-relative", "env-file-without-place", "debian-settings-unreadable")),
    ("The env file: lines `NAME=value` in UTF-8 without a byte order mark, readable for this user. Values stand as they are: `${…}` is not "
     "expanded.",
     ("env-file-missing", "env-file-unreadable", "env-file-not-text", "env-file-byte-order-mark", "env-file-line",
      "env-file-name-mistyped", "setting-not-expanded")),
    ("The endpoint is the server alone, such as https://s3.example.org or http://127.0.0.1:8333: no bucket in the host, no login, no `_`.",
     ("endpoint-emptied", "endpoint-host", "endpoint-invalid", "endpoint-not-a-url", "endpoint-unknown",
      "endpoint-with-bucket", "endpoint-with-login", "proxy-not-a-url", "region-invalid", "aws-region-empty",
      "ca-bundle-unusable")),
    ("Keys: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` together in one place, without quotes or line feeds; or a profile that "
     "`aws configure list` accepts, signed in.",
     ("no-credentials", "credentials-half-set", "aws-keys-half-set", "aws-key-characters", "credential-helper-failed",
      "credentials-not-given", "credentials-not-retrieved", "not-signed-in", "profile-missing", "aws-config-broken",
      "aws-file-unusable", "aws-setting-invalid")),
    ("A library or extra is missing: the message has the command that installs it.", ("dask-missing", "python-lacks-part")),
    ("Manifests: `--manifest` writes one with `--level content`, outside the data folder; `--against` reads one, and takes neither "
     "`--level` nor ages.",
     ("against-and-ages", "against-and-manifest", "against-is-content", "manifest-empty", "manifest-inside-data",
      "manifest-needs-content", "manifest-unsound", "report-in-data-folder")),
    ("An audit needs Bytes' own settings by `--env-file FILE`, or a database as postgresql://user:password@host:5432/bytes, or "
     "`--database rows.csv`; `--api` needs Bytes' login.",
     ("database-invalid", "database-missing", "rows-unreadable", "api-invalid", "api-login-missing", "middleware-unknown",
      "nacl-keys-invalid", "nacl-keys-missing")),
    ("A switch needs `--deployment debian`, `compose` or `kubernetes`, or `--stop`, `--start` and `--settings` together. Its target's "
     "file has only lines that say where raw files are; `--back` takes no locations.",
     ("deployment-unknown", "switch-commands", "switch-back-ends", "switch-no-way-back", "switch-not-over",
      "switch-settings-elsewhere", "switch-settings-object", "switch-two-places", "switch-unknown-lines", "switch-value")),
    ("Reading through: only from disk to S3; nginx' file must be the one that `bytes-migrator runbook` prints, before the server that "
     "Bytes is switched to. Name it by `--nginx-file`.",
     ("read-through-direction", "read-through-file", "read-through-lines", "read-through-options",
      "read-through-other-server", "read-through-path")),
    ("A Dask cluster: `--engine dask` with tls:// and certificates on both sides, or tcp://127.0.0.1. Keys do not travel to the workers.",
     ("scheduler-not-an-address", "scheduler-not-encrypted", "scheduler-without-dask", "certificates-missing",
      "two-identities")),
    ("The demo writes only into a new or empty folder outside the data folder.", ("demo-folder-in-data", "demo-folder-not-empty")),
)  # fmt: skip
"""Names of wrong options and settings by their common cause, and what is right. Each message says itself what to write."""
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
    index = "".join(f"- [{title}](#{_anchor(title)})\n" for title, names in grouped.items() if names)
    seen: dict[str, str] = {}
    parts = (_group(title, {name: entries[name] for name in names}, seen) for title, names in grouped.items() if names)
    return f"{HEAD}\n{index}" + "".join(parts)


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def _group(title: str, entries: Mapping[str, list[Message]], seen: dict[str, str]) -> str:
    """A heading, what most of its entries mean for the run, and the entries; the others say what they mean."""
    if title == SETTINGS:
        return f"\n## {title}\n\nExit status 2. The message says what to write. By cause:\n\n{_themes(set(entries))}"
    [(common, _)] = Counter(kind for one in entries.values() for kind in _kinds(one)).most_common(1)
    holds = "" if common == KINDS["Finding"] else f"\n{common} Exceptions say so.\n"
    return f"\n## {title}\n{holds}\n" + "".join(_entry(name, one, common, seen) for name, one in entries.items())


def _themes(names: set[str]) -> str:
    """One line for each theme. Raises ValueError if a name has no theme, or a theme names one that is gone."""
    themed = [name for _, of in THEMES for name in of]
    if set(themed) != names or len(themed) != len(set(themed)):
        raise ValueError(f"THEMES and the settings' errors differ: {sorted(set(themed) ^ names)}")
    return "".join(f"- {text} {', '.join(f'`{name}`' for name in of)}\n" for text, of in THEMES)


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
    found: list[str] = []
    before = ("", "")
    for (why, cure), alike in groupby(sorted(set(entries), key=lambda one: one[3:]), key=lambda one: one[3:]):
        whats = {_NOTHING_IN.sub("‹…›", one.what): one.what for one in sorted(alike, reverse=True)}
        known = [what for what in sorted(whats.values()) if not _NOTHING.fullmatch(what.strip())]
        cause = "" if why == before[0] else _paragraph("", why, name, seen)
        remedy = "" if cure == before[1] else _paragraph("*Do:* ", cure, name, seen)
        what = [_escaped(text) for text in known[:1] or ([] if cause or remedy else sorted(whats.values())[:1])]
        if parts := [*what, *filter(None, (cause, remedy))]:
            found.append(" ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in parts))
        before = (why, cure)
    first, *others = found
    head = " ".join(filter(None, [f"- **{name}**", *kinds, first]))
    return f"{head}\n" + "".join(f"  - {one}\n" for one in others)


def _paragraph(label: str, text: str, name: str, seen: dict[str, str]) -> str:
    if _NOTHING.fullmatch(text.strip()):
        return ""
    first = seen.setdefault(text, name) if len(text.split()) >= LONG else name
    return f"{label}{_escaped(text)}" if first == name else f"{label}as for {first}."


def _escaped(text: str) -> str:
    text = _DETAIL.sub("", " ".join(text.split())) or "‹…›"
    return re.sub(r"([*_<>\[\]|])", r"\\\1", text)


if __name__ == "__main__":
    PAGE.write_text(page(ROOT / "migrator"))
    DATA.write_text(data(ROOT / "migrator"))
