"""Env files: two syntaxes, and every way in which a file can be no env file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.config.env_file import Setting, read_env_file
from migrator.core.errors import SettingsError
from tests import strategies


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def pairs(path: Path) -> list[tuple[str, str]]:
    return [(setting.name, setting.value) for setting in read_env_file(path)]


DOTENV = [
    ("A=1", [("A", "1")]),
    ("A=1\nB=2\n", [("A", "1"), ("B", "2")]),
    ("A=1\r\nB=2\r\n", [("A", "1"), ("B", "2")]),
    ("export A=1", [("A", "1")]),
    ("A = 1", [("A", "1")]),
    ("A='a b'", [("A", "a b")]),
    ('A="a b" # why', [("A", "a b")]),
    ("A=a b # why", [("A", "a b")]),
    ("A=a#b", [("A", "a#b")]),
    ("# A=1\n  # B=2\nC=3", [("C", "3")]),
    ("; A=1\n  ;B=2\nC=3", [("C", "3")]),
    (';A="open\nB="closed"', [("B", "closed")]),
    ("A='one\n;two'\nB=3", [("A", "one\n;two"), ("B", "3")]),
    ("A=", [("A", "")]),
    ("", []),
    ("\n\n", []),
    ("A=${HOME}", [("A", "${HOME}")]),
    ("A=1\nA=2", [("A", "1"), ("A", "2")]),
    ("\ufeffA=1", [("A", "1")]),
]

SYSTEMD = [
    ("A=1", [("A", "1")]),
    ("A=1\r\nB=2\r\n", [("A", "1"), ("B", "2")]),
    ("  A = 1  ", [("A", "1")]),
    ("A=1 # not a comment", [("A", "1 # not a comment")]),
    ("# A=1\n; B=2\nC=3", [("C", "3")]),
    ("# ends in a backslash \\\nC=3", [("C", "3")]),
    ('A="a b"', [("A", "a b")]),
    ("A='a \"b\" \\'", [("A", 'a "b" \\')]),
    ('A="a \\"b\\" \\\\ \\$ \\n"', [("A", 'a "b" \\ $ \\n')]),
    ('A="a" \'b\' c "d"', [("A", 'abc "d"')]),
    ("A=one \\\n  two", [("A", "one   two")]),
    ('A="one\ntwo"\nB=3', [("A", "one\ntwo"), ("B", "3")]),
    ('A="one\\\ntwo"', [("A", "onetwo")]),
    ("A=a\\ \nB=1", [("A", "a "), ("B", "1")]),
    ("A=it\\'s", [("A", "it's")]),
    ("A=1\\", [("A", "1")]),
    ("A=\nB=1", [("A", ""), ("B", "1")]),
    ("A=b=c", [("A", "b=c")]),
    ("", []),
]


@pytest.mark.parametrize(("text", "expected"), DOTENV)
def test_dotenv_syntax(tmp_path: Path, text: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(write(tmp_path, ".env", text)) == expected


@pytest.mark.parametrize("suffix", [".conf", ".defaults"])
@pytest.mark.parametrize(("text", "expected"), SYSTEMD)
def test_systemd_syntax(tmp_path: Path, suffix: str, text: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(write(tmp_path, f"bytes{suffix}", text)) == expected


@pytest.mark.parametrize("name", ["old.env", "old.conf"])
def test_origin_names_file_and_line(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, "# first\n\nA=1\n\n\nB='x\ny'\nC=3\n")
    assert [setting.origin for setting in read_env_file(path)] == [
        f"{path} line 3",
        f"{path} line 6",
        f"{path} line 8",
    ]


BAD_LINES = [
    (".env", "A=1\nhunter2", 2),
    (".env", "A=1\n\nA hunter2", 3),
    (".env", 'A="hunter2', 1),
    (".env", "A=1\nexport hunter2\n", 2),
    (".env", "hunter2-x=1", 1),
    ("b.conf", "A=1\nhunter2", 2),
    ("b.conf", "# c\nexport A=hunter2", 2),
    ("b.conf", "A='hunter2", 1),
    ("b.conf", 'A=1\nB="hunter2\nC=1', 2),
    ("b.defaults", "=hunter2", 1),
]


@pytest.mark.parametrize(("name", "text", "line"), BAD_LINES)
def test_a_bad_line_is_named_and_never_shown(tmp_path: Path, name: str, text: str, line: int) -> None:
    path = write(tmp_path, name, text)
    with pytest.raises(SettingsError) as caught:
        read_env_file(path)
    assert caught.value.name == "env-file-line"
    assert f"{path} line {line} " in caught.value.what
    assert "hunter2" not in str(caught.value)
    assert caught.value.why
    assert caught.value.cure


@pytest.mark.parametrize(
    ("content", "name", "word"),
    [
        (None, "env-file-missing", "no env file"),
        (b"A=1\nB=\xff\n", "env-file-not-text", "Line 2"),
        (b"A=1\n\nB=\0\n", "env-file-not-text", "Line 3"),
        (b"A=1\n" * 300_000, "env-file-not-text", "1 MiB"),
    ],
)
def test_what_is_no_env_file(tmp_path: Path, content: bytes | None, name: str, word: str) -> None:
    path = tmp_path / "x.env"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=word) as caught:
        read_env_file(path)
    assert (caught.value.name, caught.value.exit_status) == (name, 2)
    assert str(path) in caught.value.what
    assert caught.value.why
    assert caught.value.cure


def test_a_folder_is_no_env_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="It is a folder") as caught:
        read_env_file(tmp_path)
    assert caught.value.name == "env-file-unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_env_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, ".env", "A=1")
    path.chmod(0)
    with pytest.raises(SettingsError, match="Permission denied") as caught:
        read_env_file(path)
    assert caught.value.name == "env-file-unreadable"


VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
FEW_FILES = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=strategies.examples(200), deadline=None
)


@FEW_FILES
@given(values=st.lists(VALUES, max_size=4))
def test_quoting_for_systemd_round_trips(tmp_path: Path, values: list[str]) -> None:
    def quoted(value: str) -> str:
        return '"' + "".join(f"\\{c}" if c in '"\\`$' else c for c in value) + '"'

    path = write(tmp_path, "law.conf", "".join(f"N{at}={quoted(value)}\n" for at, value in enumerate(values)))
    assert [value for _, value in pairs(path)] == values


@FEW_FILES
@given(values=st.lists(VALUES, max_size=4))
def test_quoting_for_dotenv_round_trips(tmp_path: Path, values: list[str]) -> None:
    def quoted(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    path = write(tmp_path, "law.env", "".join(f"N{at}={quoted(value)}\n" for at, value in enumerate(values)))
    assert [value for _, value in pairs(path)] == values


@FEW_FILES
@given(value=VALUES)
def test_escaping_each_character_for_systemd_round_trips(tmp_path: Path, value: str) -> None:
    kept = value.replace("\n", "").replace("\r", "")
    path = write(tmp_path, "law.conf", "N=" + "".join(f"\\{character}" for character in kept) + "\nM=1\n")
    assert pairs(path) == [("N", kept), ("M", "1")]


SECRETS = [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "BYTES_SECRET",
    "BYTES_PASSWORD",
    "BYTES_PRIVATE_KEY_B64",
    "BYTES_DB_URI",
    "bytes_password",
    "BYTES_PASTEBIN_API_DEV_KEY",
    "QUEUE_URI",
]


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_not_shown(name: str) -> None:
    setting = Setting(name, "hunter2", "environment")
    assert setting.shown == "***"
    assert "hunter2" not in repr(setting)
    assert setting.value == "hunter2"


@pytest.mark.parametrize(
    "name", ["AWS_ACCESS_KEY_ID", "BYTES_DATA_DIR", "S3_BUCKET", "AWS_WEB_IDENTITY_TOKEN_FILE", "BYTES_PUBLIC_KEY_B64"]
)
def test_other_values_are_shown(name: str) -> None:
    assert Setting(name, "plain", "environment").shown == "plain"


def test_a_login_in_a_url_is_not_shown() -> None:
    assert Setting("AWS_ENDPOINT_URL", "http://me:hunter2@host", "environment").shown == "***"
    assert Setting("AWS_ENDPOINT_URL", "http://host", "environment").shown == "http://host"
    assert Setting("AWS_SECRET_ACCESS_KEY", "", "environment").shown == ""
