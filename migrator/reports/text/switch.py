"""What `switch` shows: the whole plan before the one question, and what was done at the end."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from migrator.core.outcomes import Outcome
from migrator.reports.estimate import Estimate
from migrator.reports.formatting import Whole, clock_time, duration, files, moment, shown, size
from migrator.reports.json import as_json
from migrator.reports.report import SCHEMA
from migrator.reports.switch_report import ProxyProposal, Switched, SwitchProposal
from migrator.reports.text.findings import finding_lines
from migrator.reports.text.run_summary import time_range
from migrator.reports.text.wrapping import joined
from migrator.switch.journal import Story, SwitchEnd
from migrator.switch.steps import SwitchStep


def proposal_as_text(proposal: SwitchProposal, width: int | None = None) -> str:
    """Return what a rehearsal shows, wrapped to `width` columns."""
    return joined(proposal_lines(proposal), width)


def proposal_lines(proposal: SwitchProposal) -> Iterator[str]:
    """Yield the plan, line by line."""
    yield from changes_lines(proposal)
    yield "steps"
    for number, step in enumerate(proposal.steps, 1):
        yield f"  {number}. {proposal.steps[step].title}: {what_it_does(step, proposal)}"
    yield (
        "If a step fails after Bytes was stopped, or this program is killed then, Bytes gets its old settings back and is started."
    )
    if proposal.proxy is not None:
        yield (
            f"Once Bytes gave raw files at the new place ({proposal.steps[SwitchStep.PROVE].title}), it stays there, and nginx reads"
            " through until all is copied and verified: rerun the same command to resume, and `switch --back` goes back."
        )


def changes_lines(proposal: SwitchProposal) -> Iterator[str]:
    """Yield what the plan changes, and what it found, without the steps."""
    missing = proposal.missing[Outcome.MISSING]
    yield f"from      {shown(proposal.source)}"
    yield f"to        {shown(proposal.target)}"
    yield f"Bytes     {proposal.deployment} ({shown(proposal.found)})"
    when = " at the new place" if proposal.proxy else "; what is new by then, while it is stopped"
    yield f"to copy   {files(missing.files)} ({size(missing.bytes)}), while Bytes runs{when}"
    yield from _estimate_lines(proposal.estimate) if proposal.estimate is not None and missing.files else ()
    yield from _proxy_lines(proposal.proxy) if proposal.proxy is not None else ()
    yield f"stop      {shown(proposal.stop_command)}"
    yield f"settings  {shown(proposal.settings)}, with a backup in {shown(proposal.backup)}:"
    yield from (f"            {shown(line)}" for line in proposal.diff or ("nothing changes",))
    yield f"start     {shown(proposal.start_command)}"
    seconds = duration(max(1.0, proposal.downtime_seconds))
    meanwhile = "; raw files are copied after it" if proposal.proxy else ""
    yield f"downtime  about {seconds}, plus the time that Bytes needs to stop and to start{meanwhile}"
    for sentence in proposal.unproven:
        yield f"unproven  {shown(sentence)}"
    yield from finding_lines(proposal.findings)


def _estimate_lines(estimate: Estimate) -> Iterator[str]:
    yield f"copying   takes about {time_range(estimate)}; assumptions: {', '.join(estimate.rests_on)}"
    if estimate.is_short_of:
        yield f"warning: There is not enough {estimate.is_short_of} at the target: make room first."


def _proxy_lines(proxy: ProxyProposal) -> Iterator[str]:
    yield f"nginx     {shown(proxy.file)} ({shown(proxy.found)}), which gets:"
    yield from (f"            {shown(line)}" for line in proxy.added or ("nothing changes",))
    yield f"test      {shown(proxy.test)}"
    yield f"reload    {shown(proxy.reload)}"
    yield f"endpoint  {shown(proxy.endpoint_url)}, where Bytes reaches nginx"


def what_it_does(step: SwitchStep, proposal: SwitchProposal) -> str:
    """Return what a step of this plan does: reading through Bytes is left out where Bytes cannot be asked."""
    if step is SwitchStep.PROVE and proposal.unproven:
        return "Left out: see 'unproven' above."
    return proposal.steps[step].does


def rehearsed_as_json(proposal: SwitchProposal, exit_status: int) -> str:
    """Return the document of ``switch --rehearse --json``."""
    return as_json(
        {
            "schema": SCHEMA,
            "command": "switch",
            "rehearsed": True,
            "plan": proposal.as_dict(),
            "steps": [
                {"step": step.value, "title": text.title, "undone": text.undone}
                for step, text in proposal.steps.items()
            ],
            "exit_status": exit_status,
        }
    )


def switched_as_text(switched: Switched, width: int | None = None) -> str:
    """Return what is shown at the end, wrapped to `width` columns."""
    return joined(_switched_lines(switched), width)


def _switched_lines(switched: Switched) -> Iterator[str]:
    proposal, story = switched.proposal, switched.story
    yield f"Bytes is switched to {shown(story.plan.target)}."
    yield from story_lines(story)
    yield f"Downtime: {duration(story.downtime_seconds or 0.0)}."
    if story.plan.proxy:
        yield f"Proven at both ends: every raw file; nginx reads through no more. Read once more since then: {files(switched.sample)}."
    else:
        yield (
            f"Read at both ends, and equal: {files(switched.newest)} that came in last, and a sample of {files(switched.sample)}"
            " from before."
        )
    if proposal is None:
        yield "What Bytes gave right after its start was proven by the command that began this switch."
    elif proposal.unproven:
        yield from map(shown, proposal.unproven)
    else:
        yield (
            f"Read through Bytes itself: {switched.proven_old} of {files(switched.baseline_size)} of that sample, and"
            f" {files(switched.proven_newest)} of those that came in last."
        )
    if switched.gave_new is not None:
        yield (
            "Bytes also returned a raw file that it saved at the new place after its start."
            if switched.gave_new
            else "Bytes saved nothing new while this waited. Have OpenKAT scan something, and open its raw file."
        )
    if switched.late:
        yield (
            f"warning: {files(switched.late)} came to the old place after Bytes was stopped, copied too by now. Something else saves"
            " there: find it, stop it, and run `bytes-migrator migrate` once more."
        )
    if switched.unsure:
        yield (
            "warning: whether something came to the old place after Bytes was stopped could not be seen:"
            f" {shown(switched.unsure)} Run `bytes-migrator migrate --full` with the same locations once more."
        )
    if switched.unknown:
        yield f"{files(switched.unknown)} of those that came in last are not in Bytes' database, so Bytes returns them at neither place."
    yield f"The settings from before are in {shown(switched.backup)}. They may hold keys: remove them once you need no way back."
    yield "To go back, with what Bytes saves until then: bytes-migrator switch --back"
    yield "Nothing was removed from the old place. Once you trust the new one, delete what is proven to be there:"
    yield Whole(f"  {_prune_command(switched)}")


def _prune_command(switched: Switched) -> str:
    """Return the command with both ends and Bytes' settings filled in, as far as the words of the switch were locations and files."""
    plan = switched.story.plan
    settings = plan.settings.get("path", "")
    first, second = plan.words.get("from"), plan.words.get("to")
    source, target = (second, first or settings) if plan.is_back else (first or switched.backup, second)
    if not settings.startswith("/") or not source or not target or any((plan.words.get("overrides") or {}).values()):
        return "bytes-migrator prune --help"
    files = [settings, *(plan.words.get("env_files") or ())]
    words = ["--from", source, "--to", target, *(word for one in files for word in ("--env-file", one))]
    return shown(f"bytes-migrator prune {shlex.join(words)}")


def story_lines(story: Story) -> Iterator[str]:
    """Yield each step that began, with its time."""
    for one in story.steps:
        ended = f"took {duration(one.ended - one.began)}" if one.ended is not None else "did not end"
        yield f"  {clock_time(one.began)}  {story.texts[one.step].title}: {ended}"


def unfinished_lines(story: Story) -> Iterator[str]:
    """Yield what every command says first where a switch was left half-way."""
    last = story.texts[story.steps[-1].step].title if story.steps else "the beginning"
    ends = f"from {shown(story.plan.source)} to {shown(story.plan.target)}"
    if story.is_reading_through:
        yield f"warning: a switch {ends} is not over, at: {last} [switch-unfinished]"
        yield "  Bytes works, and nginx reads through to the data folder. To copy the rest: bytes-migrator switch"
        return
    yield f"warning: a switch {ends} was left half-way, at: {last} [switch-unfinished]"
    if not story.is_half_way:
        yield "  Bytes was not stopped; nginx may read through. To put nginx' file back: bytes-migrator switch"
        return
    yield "  Bytes may be stopped. To put its old settings back and start it: bytes-migrator switch"


def switch_status_lines(story: Story) -> Iterator[str]:
    """Yield what `status` says of the last switch."""
    yield ""
    yield from rolled_back_lines(story)
    yield from story_lines(story)
    if story.downtime_seconds is not None:
        yield f"  downtime: {duration(story.downtime_seconds)}"


def rolled_back_lines(story: Story) -> Iterator[str]:
    """Yield what is said of a switch that was taken back."""
    what = {
        SwitchEnd.ROLLED_BACK: "was taken back: Bytes has its old settings, and runs",
        SwitchEnd.UNTOUCHED: "ended before Bytes was stopped: nothing was changed",
        SwitchEnd.SWITCHED: "is finished",
        None: "is done, and nginx reads through while the rest is copied"
        if story.is_reading_through
        else "is unfinished",
    }[story.end]
    ended = f" ({clock_time(story.ended_at)})" if story.ended_at is not None else ""
    yield f"The switch from {shown(story.plan.source)} to {shown(story.plan.target)} {what}{ended}."
    if story.trouble:
        yield f"  why: {shown(story.trouble)}"


def story_as_dict(story: Story) -> dict[str, object]:
    """Return the steps of a switch with their times, as JSON has them."""
    return {
        "run": story.plan.run,
        "from": story.plan.source,
        "to": story.plan.target,
        "end": story.end.value if story.end else None,
        "trouble": story.trouble or None,
        "reads_through": story.is_reading_through,
        "downtime_seconds": round(story.downtime_seconds, 3) if story.downtime_seconds is not None else None,
        "steps": [
            {
                "step": one.step.value,
                "began": moment(one.began),
                "seconds": round(one.ended - one.began, 3) if one.ended is not None else None,
            }
            for one in story.steps
        ],
    }


def taken_back_as_json(story: Story) -> str:
    """Return the document of ``--json`` for a switch that was taken back because that was asked for."""
    return as_json({"schema": SCHEMA, "command": "switch", **story_as_dict(story), "exit_status": 0})


def switched_as_json(switched: Switched) -> str:
    """Return the document of ``--json``."""
    return as_json(
        {
            "schema": SCHEMA,
            "command": "switch",
            "plan": switched.proposal.as_dict() if switched.proposal is not None else None,
            **story_as_dict(switched.story),
            "verified": {
                "newest": switched.newest,
                "sample": switched.sample,
                "late": switched.late,
                "unsure": switched.unsure or None,
            },
            "proven_by_bytes": {
                "asked_before": switched.baseline_size,
                "old": switched.proven_old,
                "newest": switched.proven_newest,
                "unknown": switched.unknown,
                "saved_since_start": switched.gave_new,
            },
            "exit_status": switched.exit_status,
        }
    )
