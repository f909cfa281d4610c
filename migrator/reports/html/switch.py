"""The page of a switch: the plan for the meeting that decides on it, or what was done. One file without scripts, that prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from migrator import __version__
from migrator.reports.formatting import shown
from migrator.reports.text.switch import Switched, SwitchProposal, proposal_lines, switched_as_text
from migrator.switch.steps import STEPS

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
pre { background: #f4f4f4; border: 1px solid #767676; padding: 1rem; overflow-wrap: anywhere; white-space: pre-wrap; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid #767676; padding: .4rem .6rem; text-align: left; vertical-align: top; }
"""


def proposal_as_html(proposal: SwitchProposal) -> str:
    """Return the page of a rehearsal: every command and every line that changes, and how each step is taken back."""
    return "\n".join(_page("Plan of a switch", _proposal(proposal), "Nothing was changed by this rehearsal."))


def switched_as_html(switched: Switched) -> str:
    """Return the page of a switch that came to its end: what was done, then the plan."""
    body = [f"<pre>{escape(switched_as_text(switched))}</pre>", "<h2>The plan</h2>", *_proposal(switched.proposal)]
    return "\n".join(_page("A switch", body, ""))


def _proposal(proposal: SwitchProposal) -> Iterator[str]:
    yield f"<pre>{escape(chr(10).join(proposal_lines(proposal)))}</pre>"
    yield "<h2>If a step fails</h2>"
    yield "<table><thead><tr><th>Step</th><th>What it does</th><th>How it is taken back</th></tr></thead><tbody>"
    for text in STEPS.values():
        undone = text.undone or "Nothing has to be taken back."
        yield f"<tr><th scope='row'>{escape(text.title)}</th><td>{escape(text.does)}</td><td>{escape(undone)}</td></tr>"
    yield "</tbody></table>"


def _page(title: str, body: Iterable[str], remark: str) -> Iterator[str]:
    yield "<!DOCTYPE html>"
    yield f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>'
    yield f"<h1>{escape(title)}</h1>"
    if remark:
        yield f"<p>{escape(remark)}</p>"
    yield from body
    yield f"<p>bytes-migrator {escape(shown(__version__))}</p></main></body></html>"
