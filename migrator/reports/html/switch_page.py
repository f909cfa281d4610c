"""The page of a switch: the plan for the meeting that decides on it, or what was done. One file without scripts, that prints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from html import escape
from itertools import groupby
from pathlib import Path

from migrator import __version__
from migrator.reports.formatting import clock_time, duration, shown
from migrator.reports.switch_report import Switched, SwitchProposal
from migrator.reports.text.switch import changes_lines, switched_as_text, what_it_does
from migrator.switch.journal import StepTime, Story
from migrator.switch.steps import STEPS, StepText, SwitchStep, with_bytes_stopped

_STYLE = Path(__file__).parent / "assets" / "page.css"
_CODE = re.compile("`([^`]+)`")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def proposal_as_html(proposal: SwitchProposal) -> str:
    """Return the page of a rehearsal: every command and every line that changes, and how each step is taken back."""
    remark = "Nothing was changed by this rehearsal."
    steps = {
        step: replace(text, does=what_it_does(step, proposal).replace("above", "below"))
        for step, text in proposal.steps.items()
    }
    body = [*_section("Steps", steps_as_html(None, steps)), *_section("Plan", _proposal(proposal))]
    return "\n".join(_page("Plan of a switch", "fine", remark, body))


def switched_as_html(switched: Switched) -> str:
    """Return the page of a switch that came to its end: what was done and when, then the plan."""
    verdict, *lines = switched_as_text(switched).splitlines()
    story = switched.story
    body = [
        *_section("Steps", steps_as_html(story)),
        *_section("Result", [f"<pre>{escape(chr(10).join(lines[len(story.steps) :]))}</pre>"]),
        *(_section("Plan", _proposal(switched.proposal)) if switched.proposal is not None else ()),
    ]
    return "\n".join(_page("Switch", "good", verdict, body))


def steps_as_html(story: Story | None, steps: Mapping[SwitchStep, StepText] = STEPS) -> Iterator[str]:
    """Yield the steps as a timeline; of a plan (None) those given, without times."""
    steps = story.texts if story is not None else steps
    stopped = with_bytes_stopped(reads_through=SwitchStep.READ_THROUGH in steps)
    times = {one.step: one for one in story.steps} if story is not None else {}
    yield '<ol class="steps">'
    for step, text in steps.items():
        yield _step(text, times.get(step), is_plan=story is None, is_down=step in stopped)
    yield "</ol>"
    if story is not None and story.downtime_seconds is not None:
        yield f"<p>Bytes was stopped for {duration(story.downtime_seconds)}, from the first marked step to the last.</p>"
    else:
        yield "<p>Bytes is stopped during the marked steps.</p>"


def _step(text: StepText, time: StepTime | None, *, is_plan: bool, is_down: bool) -> str:
    sign, tone = ("·", "fine") if is_plan or time is None else ("✓", "good") if time.ended is not None else ("✗", "bad")
    if is_plan:
        when = _CODE.sub(r"<code>\1</code>", escape(text.does))
    elif time is None:
        when = "not begun"
    else:
        took = f"took {duration(time.ended - time.began)}" if time.ended is not None else "did not end"
        when = f"{clock_time(time.began)} · {took}"
    mark = ' class="down"' if is_down else ""
    return (
        f'<li class="is-{tone}"><i aria-hidden="true">{sign}</i>'
        f'<p><strong{mark}>{escape(text.title)}</strong></p><p class="soft">{when}</p></li>'
    )


def _proposal(proposal: SwitchProposal) -> Iterator[str]:
    yield f"<pre>{escape(chr(10).join(changes_lines(proposal)))}</pre>"
    yield "<h3>If a step fails</h3>"
    yield '<div class="wide"><table><thead><tr><th scope="col">Step</th><th scope="col">How it is taken back</th></tr></thead><tbody>'
    for undone, alike in groupby(proposal.steps.values(), key=lambda text: text.undone):
        titles = "<br>".join(escape(text.title) for text in alike)
        yield f"<tr><th scope='row'>{titles}</th><td>{escape(undone or 'Nothing has to be taken back.')}</td></tr>"
    yield "</tbody></table></div>"


def _section(title: str, body: Iterable[str]) -> Iterator[str]:
    yield f"<section><h2>{escape(title)}</h2>"
    yield from body
    yield "</section>"


def _page(title: str, tone: str, verdict: str, body: Iterable[str]) -> Iterator[str]:
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title><style>{_STYLE.read_text(encoding='utf-8')}</style></head><body>"
    yield f"<header><h1>{escape(title)}</h1></header><main>"
    sign = {"good": "✓", "fine": "→"}[tone]
    yield f'<div class="verdict {tone}"><span class="sign" aria-hidden="true">{sign}</span>'
    yield f"<p><strong>{escape(verdict)}</strong></p></div>"
    yield from body
    yield f'<p class="soft">bytes-migrator {escape(shown(__version__))}</p></main></body></html>'
