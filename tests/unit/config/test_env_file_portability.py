"""The form of env files: what their readers take differently is told, and the command that is told mends it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from migrator.config.env_file import read_env_file
from migrator.config.env_file_portability import Form, form_finding, form_of
from migrator.core.errors import SettingsError

MARK = "\ufeff"
FORMS: list[tuple[str, str, dict[str, Any]]] = [
    # the file's name, its text, what is odd
    ("new.env", "S3_BUCKET=b\nBUCKET_PER_ORG=false\n", {}),
    ("new.env", "", {}),
    ("new.env", "# S3_BUCKET=b # c\n\n", {}),
    ("new.env", f"{MARK}S3_BUCKET=b\n", {"has_mark": True}),
    ("new.env", "S3_BUCKET=b\nBUCKET_PER_ORG=false", {"joins": True}),
    ("new.env", "S3_BUCKET=b\r\nBUCKET_PER_ORG=false\r\n", {"has_returns": True}),
    ("new.env", "S3_BUCKET=b\r\nBUCKET_PER_ORG=false", {"has_returns": True, "joins": True}),
    ("new.env", "A=1\nexport S3_BUCKET=b\n  export\tBUCKET_PER_ORG=false\n", {"exports": (2, 3)}),
    ("new.env", "exported=1\nS3_BUCKET='export x'\n", {}),
    ("new.env", "S3_BUCKET=b # mine\n", {"unlike": ("S3_BUCKET",)}),
    ("new.env", "S3_BUCKET='b' # mine\n", {"unlike": ("S3_BUCKET",)}),
    ("new.env", "S3_BUCKET=\"b\"\nBUCKET_PER_ORG='false'\n", {}),
    ("new.env", "AWS_SECRET_ACCESS_KEY=a\\b\n", {"unlike": ("AWS_SECRET_ACCESS_KEY",)}),
    ("new.env", "AWS_SECRET_ACCESS_KEY=a$b\n", {"filled_in": ("AWS_SECRET_ACCESS_KEY",)}),
    ("new.env", 'AWS_SECRET_ACCESS_KEY="a${b}"\n', {"filled_in": ("AWS_SECRET_ACCESS_KEY",)}),
    ("new.env", "AWS_SECRET_ACCESS_KEY='a$b'\nBYTES_PASSWORD=a$\n", {}),
    ("new.env", "TZ=Europe/Amsterdam # not Bytes'\n", {}),
    ("bytes.conf", "S3_BUCKET=b # part of it\nAWS_SECRET_ACCESS_KEY=a$b", {"joins": True}),
    ("bytes.conf.before", f"{MARK}# c\r\nS3_BUCKET=b\r\n", {"has_mark": True, "has_returns": True}),
]


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(("name", "text", "odd"), FORMS)
def test_what_is_odd_is_found_and_nothing_else(tmp_path: Path, name: str, text: str, odd: dict[str, Any]) -> None:
    path = write(tmp_path / name, text)
    assert form_of(path) == Form(path=path, **odd)
    assert (form_finding([path]) is None) == (not odd)


@pytest.mark.parametrize(
    ("name", "text", "odd"), [row for row in FORMS if row[2] and not {"unlike", "filled_in"} & set(row[2])]
)
def test_the_cure_mends_it_and_changes_no_setting(tmp_path: Path, name: str, text: str, odd: dict[str, Any]) -> None:
    path = write(tmp_path / name, text)
    before = [(one.name, one.value) for one in read_env_file(path)]
    finding = form_finding([path])
    assert finding is not None
    assert finding.why
    subprocess.run(["sh", "-c", finding.cure], check=True)
    assert form_of(path) == Form(path=path)
    assert [(one.name, one.value) for one in read_env_file(path)] == before


@pytest.mark.parametrize("text", [f"{MARK}S3_BUCKET=b\n", "export S3_BUCKET=b\r\n", "S3_BUCKET=b"])
@pytest.mark.parametrize("conf", ["BYTES_DATA_DIR=/data", "BYTES_DATA_DIR=/data\r\n", "# no newline"])
def test_mended_files_are_appended_without_losing_a_setting(tmp_path: Path, conf: str, text: str) -> None:
    """By the guides' own line; what it makes is read as systemd reads it."""
    new, own = write(tmp_path / "new.env", text), write(tmp_path / "bytes.conf", conf)
    finding = form_finding([new, own])
    assert finding is not None
    guide = (Path(__file__).parents[3] / "docs/guides/enable-s3-debian.md").read_text()
    (line,) = [line for line in guide.splitlines() if "cat new.env" in line and ">>" in line]
    script = f"{finding.cure}\n{line.replace('/etc/kat/', '')}"
    subprocess.run(["sh", "-euc", script], cwd=tmp_path, check=True)
    expected = {"S3_BUCKET": "b"} | ({"BYTES_DATA_DIR": "/data"} if "DATA" in conf else {})
    assert {one.name: one.value for one in read_env_file(own)} == expected


def test_a_line_of_the_guides_appends_to_a_file_without_a_newline_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "new.env", "S3_BUCKET=b\n")
    own = write(tmp_path / "bytes.conf", "BYTES_DATA_DIR=/data")
    guides = (Path(__file__).parents[3] / "docs/guides").glob("*.md")
    lines = {line for guide in guides for line in guide.read_text().splitlines() if "new.env" in line and ">>" in line}
    assert lines
    for line in lines:
        command = line.replace("/etc/kat/bytes.conf", str(own)).replace(" .env", f" {own}")
        subprocess.run(["sh", "-euc", command], cwd=tmp_path, check=True)
    assert {one.name: one.value for one in read_env_file(own)} == {"BYTES_DATA_DIR": "/data", "S3_BUCKET": "b"}


def test_what_is_odd_by_hand_is_named_without_its_value(tmp_path: Path) -> None:
    path = write(tmp_path / "new.env", "AWS_SECRET_ACCESS_KEY=hunter2$x # mine")
    finding = form_finding([path])
    assert finding is not None
    assert "AWS_SECRET_ACCESS_KEY" in finding.cure
    assert "hunter2" not in str(finding)


def test_a_file_that_cannot_be_read_has_nothing_odd(tmp_path: Path) -> None:
    (tmp_path / "binary.env").write_bytes(b"\xff\xfe=1")
    assert form_finding([tmp_path / "gone.env", tmp_path, tmp_path / "binary.env"]) is None


def test_a_setting_behind_a_byte_order_mark_never_reaches_bytes_by_systemd(tmp_path: Path) -> None:
    path = write(tmp_path / "bytes.conf", f"{MARK}S3_BUCKET=b\n")
    with pytest.raises(SettingsError) as caught:
        read_env_file(path)
    assert caught.value.name == "env-file-byte-order-mark"
    subprocess.run(["sh", "-c", caught.value.cure], check=True)
    assert [one.value for one in read_env_file(path)] == ["b"]


@pytest.mark.parametrize("name", ["bytes.conf.before-migration", "bytes.defaults.bak", "bytes.conf"])
def test_a_copy_is_read_in_the_syntax_of_its_original(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "S3_BUCKET=b # part of it\n")
    assert [one.value for one in read_env_file(path)] == ["b # part of it"]
