"""Width and colour of what is printed."""

from __future__ import annotations

import io

import click
import pytest
from click.testing import CliRunner

from migrator.cli.main import cli
from migrator.cli.terminal import colour_wanted, coloured, columns

RED = "\x1b[31m"


def test_only_state_words_are_coloured() -> None:
    assert (
        click.unstyle(coloured("error: an error [x]\n  why:  error\nwarning: no"))
        == "error: an error [x]\n  why:  error\nwarning: no"
    )
    assert coloured("error: an error").count(RED) == 1
    assert coloured("to    s3://error") == "to    s3://error"


@pytest.mark.parametrize(
    ("choice", "no_color", "wanted"),
    [("auto", "", None), ("auto", "1", False), ("always", "1", True), ("never", "", False), (None, "", None)],
)
def test_who_decides_on_colour(
    choice: str, no_color: str, wanted: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    assert colour_wanted(choice) is wanted


def test_the_width_is_that_of_the_environment_or_none_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "61")
    assert columns(io.StringIO()) == 61
    monkeypatch.setenv("COLUMNS", "wide")
    assert columns(io.StringIO()) is None


@pytest.mark.parametrize(
    ("words", "has_colour"), [(("--color", "always"), True), ((), False), (("--color", "never"), False)]
)
def test_a_command_has_colour_where_it_was_asked_for(
    words: tuple[str, ...], has_colour: bool, tmp_path: object
) -> None:
    data = tmp_path / "data"  # type: ignore[operator]
    (data / "acme" / "000").mkdir(parents=True)
    (data / "acme" / "000" / "0000cb5a-c047-4cb4-999f-6d05e3e1d947").write_text("a")
    given = ["doctor", "--from", f"{data}/", "--to", f"{tmp_path}/there/", "--state-dir", f"{tmp_path}/state", *words]
    shown = CliRunner().invoke(cli, given, color=True if has_colour else None).output
    assert "warning" in shown or "pass" in shown
    assert ("\x1b[" in shown) == has_colour
