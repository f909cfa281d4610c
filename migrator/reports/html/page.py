"""The report as one page that needs nothing else: HTML from templates, autoescaped, with a policy that lets only its own script run.

The home of Jinja2. Names from outside reach the template as `shown` leaves them, and are escaped once more for HTML.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from migrator.core.findings import FindingStatus
from migrator.reports.formatting import duration, files, number, plural, shown, size
from migrator.reports.html.audit_page import page_of_audit
from migrator.reports.html.page_data import Page
from migrator.reports.html.prune_page import page_of_prune
from migrator.reports.html.run_page import page_of_run
from migrator.reports.report import Report
from migrator.reports.text.audit import AuditReport
from migrator.reports.text.prune import PruneReport
from migrator.reports.text.run_summary import time_range
from migrator.sync.totals import reason_without_names

_FOLDER = Path(__file__).parent / "assets"
_CODE_OR_OPTION = re.compile(r"(`[^`]+`|--[a-z][a-z-]*)")


def report_as_html(report: Report | AuditReport | PruneReport) -> str:
    """The page. Under 1 MB with 1,000 organizations and 1,000 problems."""
    if isinstance(report, AuditReport):
        return rendered(page_of_audit(report))
    return rendered(page_of_prune(report) if isinstance(report, PruneReport) else page_of_run(report))


def rendered(page: Page) -> str:
    """Return the page as HTML."""
    style, script = _text("page.css"), _text("page.js")
    found = _template().render(
        page=page,
        policy=_policy(style, script),
        style=style,
        script=script,
        findings=sorted(page.findings, key=lambda finding: list(FindingStatus).index(finding.status), reverse=True),
        time_range=time_range(page.estimate) if page.estimate else "",
    )
    return found.lstrip()


def _pieces(text: str) -> list[tuple[str, str]]:
    """A text as `shown` leaves it, in pieces, each with what it is: "code", an "option" (browsers end lines after a hyphen), or "prose"."""
    pieces = _CODE_OR_OPTION.split(shown(text))
    return [
        (piece.strip("`"), "prose" if number % 2 == 0 else "code" if piece.startswith("`") else "option")
        for number, piece in enumerate(pieces)
    ]


def _policy(style: str, script: str) -> str:
    """Nothing is loaded from anywhere; only this style and this script count, by their hashes."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@functools.cache
def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        optimized=False,  # a template that is rendered once: folding its constants costs more than it saves
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        shown=shown,
        pieces=_pieces,
        size=size,
        number=number,
        files=files,
        plural=plural,
        duration=duration,
        reason=reason_without_names,
    )
    return environment.get_template("page.html.j2")
