"""A headless Chromium: Debian's, driven by Playwright. Where it cannot be had, these tests are skipped and say so."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from migrator.reports.html.page import report_as_html
from migrator.reports.report import Report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = "axe-core@4.10.3"
Open = Callable[..., Any]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium (scripts/test does it for root)")
    with playwright.sync_playwright() as started:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        found = started.chromium.launch(executable_path=CHROMIUM, args=options)
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """``open_page(report, color_scheme="dark")``: the report's page from disk, without a network. Nothing may have gone wrong in it."""
    complaints: list[str] = []
    contexts = []

    def opened(report: Report, **context: Any) -> Any:
        path = tmp_path / f"{len(contexts)}.html"
        path.write_text(report_as_html(report), encoding="utf-8", errors="backslashreplace")
        contexts.append(browser.new_context(offline=True, **context))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if request.url != path.as_uri() else None)
        page.on("dialog", lambda dialog: complaints.append("a dialog was opened"))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's script, fetched once by npm into the user's cache; its own home is not ours."""
    folder = Path(os.environ.get("MIGRATOR_TESTS_NODE", "node_modules"))
    script = folder / "axe-core" / "axe.min.js"
    if not script.is_file():
        if shutil.which("npm") is None:
            pytest.skip("there is no npm to fetch axe-core with")
        fetched = subprocess.run(
            ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--silent", AXE],
            capture_output=True,
            timeout=120,
            check=False,
        )
        if fetched.returncode or not script.is_file():
            pytest.skip("npm could not fetch axe-core")
    return script.read_text(encoding="utf-8")
