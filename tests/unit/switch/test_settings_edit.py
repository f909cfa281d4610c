"""Single settings change in an env file's text; every other byte stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.core.errors import SettingsError
from migrator.switch.settings_edit import diff_lines, edited, settings_of, values_of

CONF, ENV = Path("/etc/kat/bytes.conf"), Path(".env")
TO_S3 = {"S3_BUCKET": "raw", "BUCKET_PER_ORG": "false"}


@pytest.mark.parametrize("path", [CONF, ENV])
@pytest.mark.parametrize(
    ("old", "wanted", "new"),
    [
        ("", TO_S3, "S3_BUCKET=raw\nBUCKET_PER_ORG=false\n"),
        ("# a\nA=1", TO_S3, "# a\nA=1\nS3_BUCKET=raw\nBUCKET_PER_ORG=false\n"),
        ("A=1\nS3_BUCKET=old\n# b\nB=2\n", TO_S3, "A=1\nS3_BUCKET=raw\n# b\nB=2\nBUCKET_PER_ORG=false\n"),
        ("S3_BUCKET=raw\nBUCKET_PER_ORG=false\n", TO_S3, "S3_BUCKET=raw\nBUCKET_PER_ORG=false\n"),
        ("S3_BUCKET='raw'\nBUCKET_PER_ORG=false\n", TO_S3, "S3_BUCKET='raw'\nBUCKET_PER_ORG=false\n"),
        ("S3_BUCKET=one\n# c\nS3_BUCKET=two\n", {"S3_BUCKET": "raw"}, "S3_BUCKET=one\n# c\nS3_BUCKET=raw\n"),
        ("s3_bucket=one\nA=1\nS3_BUCKET=two\n", {"S3_BUCKET": None}, "A=1\n"),
        ("A=1\r\nS3_BUCKET=old\r\n", TO_S3, "A=1\r\nS3_BUCKET=raw\r\nBUCKET_PER_ORG=false\r\n"),
        ("; x\n\n  S3_BUCKET=old\n\n# e", {"S3_BUCKET": "new"}, "; x\n\nS3_BUCKET=new\n\n# e"),
        ("A='one\ntwo'\nS3_BUCKET=old\n", {"S3_BUCKET": None}, "A='one\ntwo'\n"),
        ("AWS_SECRET_ACCESS_KEY=a\n", {"AWS_SECRET_ACCESS_KEY": "x y$z"}, "AWS_SECRET_ACCESS_KEY='x y$z'\n"),
    ],
)
def test_only_the_lines_in_question_change(path: Path, old: str, wanted: dict[str, str | None], new: str) -> None:
    assert edited(path, old.encode(), wanted).decode() == new


def test_a_byte_order_mark_stays() -> None:
    assert edited(ENV, b"\xef\xbb\xbfS3_BUCKET=a\n", {"S3_BUCKET": "b"}) == b"\xef\xbb\xbfS3_BUCKET=b\n"


def test_what_is_written_is_read_back() -> None:
    values = {"S3_BUCKET": "raw", "AWS_A": "with 'quote'", "AWS_B": 'a "b" c', "AWS_C": "#x $y \\z", "AWS_D": ""}
    for path in (CONF, ENV):
        written = edited(path, b"", values)
        assert {one.name: one.value for one in settings_of(path, written)} == values


@pytest.mark.parametrize("value", ["two\nlines", "nul\0", "it's $HOME", "tab\there"])
def test_a_value_that_cannot_be_written_alike_for_all_is_refused(value: str) -> None:
    with pytest.raises(SettingsError) as error:
        edited(ENV, b"", {"AWS_SECRET_ACCESS_KEY": value})
    assert error.value.name == "switch-value"
    assert value not in str(error.value)


def test_a_change_can_be_taken_back() -> None:
    old = b"A=1\nS3_BUCKET=old\nBYTES_DATA_DIR=/data\n"
    names = ("S3_BUCKET", "BUCKET_PER_ORG")
    new = edited(CONF, old, TO_S3)
    back = values_of(settings_of(CONF, old), names)
    assert back == {"S3_BUCKET": "old", "BUCKET_PER_ORG": None}
    assert edited(CONF, new, back) == old


def test_the_diff_hides_secrets_and_shows_that_they_change() -> None:
    old = settings_of(CONF, b"AWS_SECRET_ACCESS_KEY=old-key\nS3_BUCKET=raw\n")
    lines = diff_lines(old, {"AWS_SECRET_ACCESS_KEY": "new-key", "S3_BUCKET": "raw", "BUCKET_PER_ORG": "false"})
    assert lines == (
        "- AWS_SECRET_ACCESS_KEY=***   (/etc/kat/bytes.conf line 1)",
        "+ AWS_SECRET_ACCESS_KEY=***",
        "+ BUCKET_PER_ORG=false",
    )


@pytest.mark.parametrize(("path", "line"), [(CONF, "export A=1\n"), (ENV, "A B C\n"), (CONF, "A='x\n")])
def test_a_line_that_cannot_be_understood_is_refused(path: Path, line: str) -> None:
    with pytest.raises(SettingsError) as error:
        edited(path, line.encode(), TO_S3)
    assert error.value.name == "env-file-line"
