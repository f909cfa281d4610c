"""Env files as settings with their origins: dotenv syntax and systemd's ``EnvironmentFile`` syntax.

Docker Compose hands Bytes dotenv files, the Debian packages hand it systemd files (``/etc/kat/bytes.conf``). No value ever gets
into an error, since any line may hold a secret.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from migrator.core.errors import SettingsError
from migrator.core.redaction import HIDDEN, without_secrets

SYSTEMD_SUFFIXES = (".conf", ".defaults")
ENV_FILE_SUFFIXES = (".env", *SYSTEMD_SUFFIXES)

LARGEST_FILE = 1024 * 1024
"""Bytes; what is larger is no env file but a mistyped path, and would be read into memory."""

_HAS_SECRET = re.compile(r"SECRET|PASSWORD|PRIVATE_KEY|TOKEN(?!_FILE|_EXPIRE)|API_(DEV_)?KEY|_URI$|DSN", re.IGNORECASE)
_HAS_LOGIN = re.compile(r":.*@", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, repr=False)
class Setting:
    """A name and value, and where they were set; the value of a secret is never shown."""

    name: str
    value: str
    origin: str

    @property
    def shown(self) -> str:
        """The value for people: ``***`` for secrets and for URLs that carry a login or a signature."""
        hide = (
            _HAS_SECRET.search(self.name) or _HAS_LOGIN.search(self.value) or without_secrets(self.value) != self.value
        )
        return HIDDEN if hide and self.value else self.value

    def as_dict(self) -> dict[str, str]:
        """As reports show it in JSON."""
        return {"name": self.name, "value": self.shown, "origin": self.origin}

    def __repr__(self) -> str:
        return f"Setting(name={self.name!r}, value={self.shown!r}, origin={self.origin!r})"


def is_secret(name: str) -> bool:
    """Whether a setting of this name is never shown."""
    return _HAS_SECRET.search(name) is not None


def read_env_file(path: Path) -> list[Setting]:
    """Read an env file in the syntax that its name tells: systemd's for .conf and .defaults, else dotenv's.

    Raises:
        SettingsError: If the file cannot be read, is no text, or has a line that one of the two would pass over
            silently.
    """
    text, has_mark = _text_of(path)
    is_systemd = syntax_of(path) in SYSTEMD_SUFFIXES
    if has_mark and is_systemd and not text.startswith(("#", ";", "\n", "\r")):
        raise SettingsError(
            "env-file-byte-order-mark",
            f"{path} begins with a byte order mark.",
            why="systemd ignores the setting behind it, so Bytes never gets it.",
            cure=rf"sed -i '1s/^\xEF\xBB\xBF//' {path}",
        )
    return [one.setting for one in assignments(path, text)]


def syntax_of(path: Path) -> str:
    """The suffix that tells a file's syntax, ".env" where none does: a copy such as ``bytes.conf.before`` is read as the file was."""
    return next((suffix for suffix in reversed(path.suffixes) if suffix in ENV_FILE_SUFFIXES), ".env")


@dataclass(frozen=True, slots=True, repr=False)
class EnvAssignment:
    """One setting of an env file, and the part of the text that sets it: `text[start:end]` is its whole lines, their ends included."""

    setting: Setting
    start: int
    end: int


def assignments(path: Path, text: str) -> Iterator[EnvAssignment]:
    """Yield the settings of an env file's text in order, in the syntax that the path's name tells; nothing is opened.

    Raises:
        SettingsError: If a line cannot be understood, as in `read_env_file`.
    """  # noqa: DOC501 made by _bad_line
    is_systemd = syntax_of(path) in SYSTEMD_SUFFIXES
    spans = _systemd_spans(path, text) if is_systemd else _dotenv_spans(path, text)
    for start, end, name, value in spans:
        first, line = text.rfind("\n", 0, start) + 1, _line_at(text, start)
        if not _NAME.fullmatch(name):
            raise _bad_line(path, line, "It does not begin with a variable's name.")
        yield EnvAssignment(Setting(name, value, f"{path} line {line}"), first, end)


def _text_of(path: Path) -> tuple[str, bool]:
    """Return the file's text without a byte order mark, and whether it began with one.

    Raises:
        SettingsError: If the file is missing, unreadable, larger than 1 MiB or no text.
    """  # noqa: DOC501 made by _not_text
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError as error:
        raise SettingsError(
            "env-file-missing",
            f"There is no env file {path}.",
            why="Nothing has that name.",
            cure=f"Check the path; relative paths start at {os.getcwd()}.",
        ) from error
    except OSError as error:
        why = "It is a folder." if isinstance(error, IsADirectoryError) else f"The system says: {error.strerror}."
        raise SettingsError(
            "env-file-unreadable",
            f"The env file {path} cannot be read.",
            why=why,
            cure="Give a file that this user may read.",
        ) from error
    if len(content) > LARGEST_FILE:
        raise _not_text(path, "It is larger than 1 MiB.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _not_text(path, f"Line {line} is not UTF-8 text.") from None
    if "\0" in text:
        raise _not_text(path, f"Line {_line_at(text, text.index(chr(0)))} has a NUL character.")
    return text, content.startswith(b"\xef\xbb\xbf")


def _not_text(path: Path, why: str) -> SettingsError:
    return SettingsError(
        "env-file-not-text",
        f"{path} is not an env file.",
        why=why,
        cure="Give a text file with lines NAME=value, in UTF-8.",
    )


def _bad_line(path: Path, line: int, why: str) -> SettingsError:
    return SettingsError(
        "env-file-line",
        f"{path} line {line} cannot be understood.",
        why=why,
        cure="Write NAME=value, with matching quotes if needed, or '# a comment'.",
    )


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _dotenv_spans(path: Path, text: str) -> Iterator[tuple[int, int, str, str]]:
    """Yield (start, end, name, value); `end` is behind the line's end.

    Raises:
        SettingsError: If a line has no '=' or is no dotenv line.
    """  # noqa: DOC501 made by _bad_line
    for start, end, binding in _dotenv_bindings(text):
        if binding.error:
            raise _bad_line(path, _line_at(text, start), "It is not a dotenv line.")
        if binding.key is None:
            continue
        if binding.value is None:
            raise _bad_line(path, _line_at(text, start), "It has no '='.")
        yield start, end, binding.key, binding.value


@dataclass(frozen=True, slots=True)
class Written:
    """A setting of a dotenv file as it is written: its line, and what stands behind the ``=``."""

    setting: Setting
    line: int
    written: str
    is_exported: bool


def written_lines(text: str) -> Iterator[Written]:
    """The settings of a dotenv file; lines that cannot be understood are left out."""
    for start, _, binding in _dotenv_bindings(text):
        if binding.error or binding.key is None or binding.value is None:
            continue
        before, _, written = binding.original.string.partition("=")
        is_exported = before.split()[:1] == ["export"]
        yield Written(Setting(binding.key, binding.value, ""), _line_at(text, start), written.strip(), is_exported)


def systemd_value(written: str) -> str | None:
    """What systemd reads as the value of what stands behind an ``=``; None where a quote is never closed."""
    return _systemd_value(written, 0)[0]


def _dotenv_bindings(text: str) -> Iterator[tuple[int, int, Binding]]:
    """Parse into (start, end, binding), but pass over lines that begin with ';', which python-dotenv takes for names."""
    start = 0
    while start < len(text):
        for binding in parse_stream(io.StringIO(text[start:], newline="")):
            raw = binding.original.string
            first = start + len(raw) - len(raw.lstrip())
            if text[first : first + 1] == ";":
                end = text.find("\n", first)
                start = len(text) if end < 0 else end + 1
                break
            yield first, start + len(raw), binding
            start += len(raw)


def _systemd_spans(path: Path, text: str) -> Iterator[tuple[int, int, str, str]]:
    """Yield (start, end, name, value), `end` behind the line's end; refuse what systemd passes over silently.

    Source: ``parse_env_file_internal`` of systemd's ``src/basic/env-file.c``.

    Raises:
        SettingsError: If a line has no '=', no variable's name, or a quote that is never closed.
    """  # noqa: DOC501 made by _bad_line
    position = 0
    while (match := _SYSTEMD_LINE_START.match(text, position)) and match.end() < len(text):
        position = match.end()
        line = _line_at(text, position)
        end = _SYSTEMD_LINE_END.search(text, position)
        stop = end.start() if end else len(text)
        if text[position] in "#;":
            position = stop
            continue
        start = position
        name, equals, _ = text[position:stop].partition("=")
        if not equals:
            raise _bad_line(path, line, "It has no '='.")
        if not _NAME.fullmatch(name.rstrip()):
            raise _bad_line(path, line, "systemd passes over it, since it does not begin with a variable's name.")
        value, position = _systemd_value(text, position + len(name) + 1)
        if value is None:
            raise _bad_line(path, line, "A quote is opened and never closed.")
        ending = _SYSTEMD_END_OF_LINE.match(text, position)
        yield start, ending.end() if ending else position, name.rstrip(), value


_SYSTEMD_END_OF_LINE = re.compile(r"\r?\n?")
_SYSTEMD_LINE_START = re.compile(r"[ \t\r\n]*")
_SYSTEMD_LINE_END = re.compile(r"[\r\n]")
_SYSTEMD_SPACE = re.compile(r"[ \t]*")
_SYSTEMD_SINGLE = re.compile(r"'([^']*)'")
_SYSTEMD_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SYSTEMD_DOUBLE_ESCAPE = re.compile(r"\\([\"\\`$\n])")
_SYSTEMD_BARE = re.compile(r"(?:[^\\\r\n]|\\.)*(?:\\\Z)?", re.DOTALL)
_SYSTEMD_BARE_PIECES = re.compile(r"\\.|\\\Z|[ \t]+|[^\\ \t]+", re.DOTALL)


def _systemd_value(text: str, position: int) -> tuple[str | None, int]:
    """The value that starts at the position, and where it ends; None when a quote is never closed.

    Quoted pieces may follow one another; the first bare character takes the rest of the line, quotes included.
    """
    pieces = []
    while True:
        position = _end_of(_SYSTEMD_SPACE, text, position)
        quote = text[position : position + 1]
        if quote not in ("'", '"'):
            break
        match = (_SYSTEMD_SINGLE if quote == "'" else _SYSTEMD_DOUBLE).match(text, position)
        if match is None:
            return None, position
        piece = match.group(1)
        pieces.append(piece if quote == "'" else _SYSTEMD_DOUBLE_ESCAPE.sub(_unescaped, piece))
        position = match.end()
    end = _end_of(_SYSTEMD_BARE, text, position)
    pieces.append(_bare(text[position:end]))
    return "".join(pieces), end


def _bare(text: str) -> str:
    """Unquoted text: a backslash takes the next character as it is, white space at the end goes unless it is so taken."""
    pieces = _SYSTEMD_BARE_PIECES.findall(text)
    if pieces and not pieces[-1].strip(" \t"):
        pieces.pop()
    return "".join(piece[1:].strip("\r\n") if piece.startswith("\\") else piece for piece in pieces)


def _end_of(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _unescaped(match: re.Match[str]) -> str:
    """The escaped character; a backslash at the end of a line continues it."""
    return match.group(1).strip("\n")
