"""`explain` prints an entry, lists all names, and helps with a name that it does not know."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from migrator.cli.explain import explain
from migrator.cli.main import cli, main
from migrator.doctor.finding_names import FINDINGS
from migrator.reports.text.explanation import explanations


@pytest.mark.parametrize("given", ["bytes-calls", "[bytes-calls]", "BYTES-CALLS"])
def test_an_entry_has_what_why_and_cure(given: str) -> None:
    text = CliRunner().invoke(cli, ["explain", given], env={"COLUMNS": "80"}).output
    assert text.startswith("bytes-calls\n  A finding of `doctor`, `plan` or `migrate`.")
    assert "\n  why:  " in text
    assert "\n  cure: " in text
    assert max(map(len, text.splitlines())) <= 80


def test_every_finding_that_may_be_forced_is_explained() -> None:
    computed = {"rights-source", "rights-target"}  # their name is an argument in the code
    assert set(FINDINGS) - set(explanations()) <= computed


def test_without_a_name_all_are_listed() -> None:
    text = CliRunner().invoke(cli, ["explain"]).output
    assert set(explanations()) <= set(text.split())


def test_an_unknown_name_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", "byte-calls"])
    assert ended.value.code == 2
    assert "Did you mean bytes-calls?" in capsys.readouterr().err


def test_the_shell_completes_names() -> None:
    [argument] = explain.params

    found = argument.shell_complete(click.Context(explain), "bytes-ca")
    assert [item.value for item in found] == ["bytes-calls"]
