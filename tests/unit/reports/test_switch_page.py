"""The steps on the page of a switch: a timeline that says how each one ended, and which of them make up the downtime."""

from __future__ import annotations

from dataclasses import replace

import pytest

from migrator.reports.html.switch_page import proposal_as_html, steps_as_html
from migrator.switch.journal import StepTime, Story, SwitchPlan
from migrator.switch.steps import STEPS, SwitchStep, with_bytes_stopped
from tests.unit.reports import answers

PLAN = SwitchPlan(
    run="r",
    source="/data (disk)",
    target="s3://raw/{organization} at http://h",
    ends=("a", "b"),
    deployment={},
    settings={},
    names=(),
    old_digest="",
    new_digest="",
)


def test_a_plan_has_every_step_and_no_time() -> None:
    page = "\n".join(steps_as_html(None))
    assert page.count("<li") == len(STEPS)
    assert page.count('class="down"') == len(with_bytes_stopped(reads_through=False))
    assert "took" not in page


@pytest.mark.parametrize(("ended", "words"), [(1_767_323_052.0, "took 7.0 s"), (None, "did not end")])
def test_a_step_says_when_it_began_and_how_it_ended(ended: float | None, words: str) -> None:
    story = Story(PLAN, [StepTime(SwitchStep.LOOK, 1_767_323_045.0, ended)])
    first, *others = [line for line in steps_as_html(story) if line.startswith("<li")]
    assert f"2026-01-02 03:04:05 UTC · {words}" in first
    assert ("✓" in first) is (ended is not None)
    assert all("not begun" in line for line in others)


def test_a_plan_says_which_step_is_left_out_and_names_each_step_once() -> None:
    proposal = replace(answers.proposal(), unproven=("Bytes will not be asked for raw files: --api URL is not given.",))
    page = proposal_as_html(proposal)
    timeline, _, rest = page.partition("</ol>")
    assert "Left out: see &#x27;unproven&#x27; below." in timeline[timeline.index(STEPS[SwitchStep.PROVE].title) :]
    assert STEPS[SwitchStep.LAST_PASS].does in timeline
    assert STEPS[SwitchStep.LAST_PASS].does not in rest
    assert rest.count(STEPS[SwitchStep.SETTINGS].undone) == 1
    assert "`" not in timeline
