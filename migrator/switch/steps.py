"""The steps of a switch, in their order: what `switch` does by itself and `runbook` has a person do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class SwitchStep(str, Enum):
    """The name of each step, as journal, report and JSON have it."""

    LOOK = "look"
    COPY = "copy"
    STOP = "stop"
    LAST_PASS = "last-pass"  # noqa: S105 no password
    VERIFY = "verify"
    SETTINGS = "settings"
    START = "start"
    HEALTH = "health"
    PROVE = "prove"


@dataclass(frozen=True, slots=True)
class StepText:
    """What people read of a step. `undone`: how a failure from this step on is taken back; "" where nothing has to be."""

    title: str
    does: str
    undone: str


_NOTHING = ""
_START = "Start Bytes, with the settings that it had."
_BOTH = "Put the old settings back, start Bytes, and copy what it saved at the new place to the old one."

STEPS: dict[SwitchStep, StepText] = {
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
    SwitchStep.VERIFY: StepText("Verify", "Read at both ends what came in last.", _START),
    SwitchStep.SETTINGS: StepText(
        "Give Bytes the new settings", "Replace these lines of its settings, and keep a backup.", _BOTH
    ),
    SwitchStep.START: StepText("Start Bytes", "Start Bytes with the new settings.", _BOTH),
    SwitchStep.HEALTH: StepText("Wait until Bytes is healthy", "Wait until Bytes answers.", _BOTH),
    SwitchStep.PROVE: StepText(
        "Read through Bytes",
        "Ask Bytes for old raw files, the newest, and one that it saves now; list both ends once more.",
        _BOTH,
    ),
}
WITH_BYTES_STOPPED = (
    SwitchStep.STOP,
    SwitchStep.LAST_PASS,
    SwitchStep.VERIFY,
    SwitchStep.SETTINGS,
    SwitchStep.START,
    SwitchStep.HEALTH,
)
"""The steps that make up the downtime."""
