"""The steps of a switch, in their order: what `switch` does by itself and `runbook` has a person do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum


class SwitchStep(str, Enum):
    """The name of each step, as journal, report and JSON have it."""

    READ_THROUGH = "read-through"
    LOOK = "look"
    COPY = "copy"
    STOP = "stop"
    LET_READ = "let-nginx-read"
    LAST_PASS = "last-pass"  # noqa: S105 no password
    VERIFY = "verify"
    SETTINGS = "settings"
    START = "start"
    HEALTH = "health"
    PROVE = "prove"
    END_READ_THROUGH = "end-read-through"


@dataclass(frozen=True, slots=True)
class StepText:
    """What people read of a step. `undone`: how a failure from this step on is taken back; "" where nothing has to be."""

    title: str
    does: str
    undone: str


_NOTHING = ""
_START = "Start Bytes, with the settings that it had."
_BOTH = "Put the old settings back, start Bytes, and copy what it saved at the new place to the old one."
_NGINX = "Put nginx' file back as it was, and reload nginx."
_STAYS = (
    "Bytes stays at the new place, and nginx reads through: run it again to go on, or go back with `switch --back`."
)

STEPS: Mapping[SwitchStep, StepText] = {
    SwitchStep.LOOK: StepText(
        "Check both ends", "Run the checks of `doctor`, with a probe of Bytes' own calls.", _NOTHING
    ),
    SwitchStep.COPY: StepText(
        "Copy while Bytes runs",
        "Copy every raw file that is missing at the new place, read a sample at both ends, and list both ends whole.",
        _NOTHING,
    ),
    SwitchStep.STOP: StepText("Stop Bytes", "Stop Bytes, and see that it is stopped.", _START),
    SwitchStep.LAST_PASS: StepText("Copy the rest", "Copy what came in since both ends were listed.", _START),
    SwitchStep.VERIFY: StepText("Verify", "Read at both ends a sample of what came in last.", _START),
    SwitchStep.SETTINGS: StepText(
        "Give Bytes the new settings", "Replace these lines of its settings, and keep a backup.", _BOTH
    ),
    SwitchStep.START: StepText("Start Bytes", "Start Bytes with the new settings.", _BOTH),
    SwitchStep.HEALTH: StepText("Wait until Bytes is healthy", "Wait until Bytes answers.", _BOTH),
    SwitchStep.PROVE: StepText(
        "Read through Bytes",
        "Ask Bytes for old raw files, the newest, and one that it saves now; read the newest at both ends; list both ends once more.",
        _BOTH,
    ),
}
_THEN_NGINX = f"{_BOTH} {_NGINX}"
READ_THROUGH_STEPS: Mapping[SwitchStep, StepText] = {
    SwitchStep.READ_THROUGH: StepText(
        "Have nginx read through", "Install nginx' file, test it, reload nginx, and see that it answers by it.", _NGINX
    ),
    SwitchStep.LOOK: StepText(
        "Check both ends",
        "Let the group pass Bytes' folders, where nginx' user is in it; run the checks of `doctor`, with a probe of Bytes' own calls;"
        " read raw files of the data folder through nginx.",
        _NGINX,
    ),
    SwitchStep.STOP: replace(STEPS[SwitchStep.STOP], undone=f"{_START} {_NGINX}"),
    SwitchStep.LET_READ: StepText(
        "Let nginx read the data folder",
        "Let the group pass the folders that Bytes made since then, and see that nginx can read what is new.",
        f"{_START} {_NGINX}",
    ),
    SwitchStep.SETTINGS: replace(STEPS[SwitchStep.SETTINGS], undone=_THEN_NGINX),
    SwitchStep.START: replace(STEPS[SwitchStep.START], undone=_THEN_NGINX),
    SwitchStep.HEALTH: replace(STEPS[SwitchStep.HEALTH], undone=_THEN_NGINX),
    SwitchStep.PROVE: StepText("Read through Bytes", "Ask Bytes for old raw files and the newest ones.", _THEN_NGINX),
    SwitchStep.COPY: StepText("Copy while Bytes runs", "Copy every raw file that is missing at the new place.", _STAYS),
    SwitchStep.VERIFY: StepText(
        "Verify", "List both ends whole, and prove every raw file by checksums or by content.", _STAYS
    ),
    SwitchStep.END_READ_THROUGH: StepText(
        "End reading through",
        "Take the lines out of nginx' file, test it, reload nginx, and read raw files from the new place alone.",
        _STAYS,
    ),
}
"""Bytes is switched before everything is copied."""
_WITH_BYTES_STOPPED = frozenset({SwitchStep.STOP, SwitchStep.SETTINGS, SwitchStep.START, SwitchStep.HEALTH})


def steps_of(*, reads_through: bool) -> Mapping[SwitchStep, StepText]:
    """Return the steps in their order."""
    return READ_THROUGH_STEPS if reads_through else STEPS


def with_bytes_stopped(*, reads_through: bool) -> frozenset[SwitchStep]:
    """Return the steps that make up the downtime."""
    others = (SwitchStep.LET_READ,) if reads_through else (SwitchStep.LAST_PASS, SwitchStep.VERIFY)
    return _WITH_BYTES_STOPPED | frozenset(others)
