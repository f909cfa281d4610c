"""Changes single settings in the text of an env file, and leaves every other byte as it is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from migrator.config.env_file import EnvAssignment, Setting, assignments
from migrator.config.environment import known_name
from migrator.core.errors import SettingsError

Wanted = Mapping[str, str | None]
"""The new value of each setting that changes, by name; None for one that has to go."""

_MARK = "\ufeff"
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=,~{}-]*")
_FILLED_IN = re.compile(r"[$`\\]")


def edited(path: Path, content: bytes, wanted: Wanted) -> bytes:
    """Return the env file with these settings. `path` tells the syntax.

    A setting that has its new value already stays as it is written. The last line of a name is replaced, since the last one wins; a name
    without a line gets one at the end. Raises SettingsError for a line that cannot be understood and a value that cannot be written.
    """
    mark, text = _decoded(path, content)
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    pieces: list[tuple[int, int, str]] = []
    appended: list[str] = []
    found = _by_name(path, text)
    for name, value in wanted.items():
        lines = found.get(name, [])
        if value is None:
            pieces += [(one.start, one.end, "") for one in lines]
        elif not lines:
            appended.append(_line(name, value) + end_of_line)
        elif lines[-1].setting.value != value:
            pieces.append((lines[-1].start, lines[-1].end, _line(name, value) + end_of_line))
    for start, end, new in sorted(pieces, reverse=True):
        text = text[:start] + new + text[end:]
    if appended and text and not text.endswith("\n"):
        text += end_of_line
    return (mark + text + "".join(appended)).encode()


def settings_of(path: Path, content: bytes) -> list[Setting]:
    """Return all settings of the env file, in order. Raises SettingsError."""
    return [one.setting for one in assignments(path, _decoded(path, content)[1])]


def values_of(settings: Iterable[Setting], names: Iterable[str]) -> dict[str, str | None]:
    """Return what these settings say of each name, as `Wanted`: what takes a change of these names back."""
    values = {known_name(one.name): one.value for one in settings}
    return {name: values.get(name) for name in names}


def diff_lines(old: Iterable[Setting], wanted: Wanted) -> tuple[str, ...]:
    """Return a line for each one that goes (``- ``) and each one that comes (``+ ``), without the values of secrets."""
    return tuple(_diff(list(old), wanted))


def _diff(old: list[Setting], wanted: Wanted) -> Iterator[str]:
    for name, value in wanted.items():
        before = [one for one in old if known_name(one.name) == name]
        if value is not None and before and before[-1].value == value:
            continue
        for one in before if value is None else before[-1:]:
            yield f"- {one.name}={one.shown}   ({one.origin})"
        if value is not None:
            yield f"+ {name}={Setting(name, value, '').shown}"


def _by_name(path: Path, text: str) -> dict[str, list[EnvAssignment]]:
    found: dict[str, list[EnvAssignment]] = {}
    for one in assignments(path, text):
        name = known_name(one.setting.name)
        if name is not None:
            found.setdefault(name, []).append(one)
    return found


def _decoded(path: Path, content: bytes) -> tuple[str, str]:
    """Return the byte order mark, or "", and the text.

    Raises:
        SettingsError: If it is not UTF-8.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise SettingsError(
            "env-file-not-text",
            f"{path} is not an env file.",
            why="It is not UTF-8 text.",
            cure="Give a text file with lines NAME=value, in UTF-8.",
        ) from None
    return (_MARK, text[1:]) if text.startswith(_MARK) else ("", text)


def _line(name: str, value: str) -> str:
    """Return a line that systemd, Docker Compose and python-dotenv read alike.

    Raises:
        SettingsError: If there is none for this value.
    """
    if _PLAIN.fullmatch(value):
        return f"{name}={value}"
    if value.isprintable() and "'" not in value and not value.endswith("\\"):
        return f"{name}='{value}'"
    if value.isprintable() and not _FILLED_IN.search(value):
        escaped = value.replace('"', '\\"')
        return f'{name}="{escaped}"'
    raise SettingsError(
        "switch-value",
        f"The value of {name} cannot be written into an env file.",
        why=(
            "systemd and Docker Compose read its control characters, or its quotes beside '$', '`' or a "
            "backslash, differently."
        ),
        cure=f"Choose another value for {name}.",
    )
