"""The page of errors is what the code says; each error in the code has its entry."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

from migrator.doctor.finding_names import FINDINGS

ROOT = Path(__file__).parents[3]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "troubleshooting.py"))


def test_the_page_is_what_the_code_says() -> None:
    written = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert written == SCRIPT["page"](ROOT / "migrator"), "run: python scripts/troubleshooting.py"


def test_what_explain_prints_is_what_the_code_says() -> None:
    assert SCRIPT["DATA"].read_text() == SCRIPT["data"](ROOT / "migrator"), "run: python scripts/troubleshooting.py"


OTHERS_WORDS = {"env-file-form", "source", "rights-source", "rights-target"}
"""Findings whose texts are put together where they are needed, or are those of an error with an entry of its own."""


def test_every_finding_that_can_be_forced_has_an_entry() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert {name for name in FINDINGS if f"\n- **{name}** " not in page} <= OTHERS_WORDS


def test_every_name_has_an_entry_with_a_text() -> None:
    names = {message.name for message in SCRIPT["messages_in"](ROOT / "migrator")}
    assert {"bucket-missing", "ledger-busy", "source-empty", "credentials-refused", "bucket-names"} <= names
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    explained = json.loads(SCRIPT["DATA"].read_text())
    for name in names:
        assert explained[name]["texts"], name
        theme = re.search(rf"^- (.*)`{name}`", page, re.MULTILINE)
        entry = re.search(rf"^- \*\*{name}\*\* (.*)$", page, re.MULTILINE)
        assert (theme is None) is not (entry is None), name
        assert any(one is not None and one[1].split() for one in (theme, entry)), name


def test_an_error_of_settings_without_a_theme_fails(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text('raise SettingsError("of-no-theme", "It happened.", cure="Write it.")\n')
    with pytest.raises(ValueError, match="of-no-theme"):
        SCRIPT["page"](tmp_path)
