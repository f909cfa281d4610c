"""What a switch is going to do, and what it did: the values that text, page, runbook and JSON are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from migrator.core.findings import Finding
from migrator.core.outcomes import Outcome
from migrator.core.tally import Tally
from migrator.reports.estimate import Estimate
from migrator.switch.journal import Story
from migrator.switch.steps import StepText, SwitchStep, steps_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyProposal:
    """What nginx gets to read through. `found` says how its file is known; `added` are the lines that come in, each behind ``+ ``."""

    file: str
    found: str
    test: str
    reload: str
    endpoint_url: str
    added: tuple[str, ...]
    is_new: bool

    def as_dict(self) -> dict[str, object]:
        """As ``--json`` has it."""
        return {
            "file": self.file,
            "is_new": self.is_new,
            "test": self.test,
            "reload": self.reload,
            "endpoint_url": self.endpoint_url,
            "added": list(self.added),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchProposal:
    """Everything that a switch would do. `listing_seconds` is how long listing both ends took; `unproven` are sentences.

    `found` says how the deployment is known. `diff` has no secrets. `estimate`: of the copying; None where nothing can be moved.
    `proxy`: nginx reads through, and Bytes is switched first.
    """

    run: str
    source: str
    target: str
    deployment: str
    found: str
    stop_command: str
    start_command: str
    settings: str
    backup: str
    diff: tuple[str, ...]
    missing: Tally
    listing_seconds: float
    unproven: tuple[str, ...]
    api: str
    findings: tuple[Finding, ...]
    estimate: Estimate | None = None
    proxy: ProxyProposal | None = None

    @property
    def steps(self) -> Mapping[SwitchStep, StepText]:
        """Return the steps in their order."""
        return steps_of(reads_through=self.proxy is not None)

    @property
    def downtime_seconds(self) -> float:
        """How long the last pass should take: a data folder shows what is new by its index folders, a bucket by its listing."""
        if self.proxy is not None:
            return 0.0
        return self.listing_seconds if self.source.startswith("s3:") else self.listing_seconds / 10

    def as_dict(self) -> dict[str, object]:
        """As ``--json`` has it."""
        missing = self.missing[Outcome.MISSING]
        return {
            "run": self.run,
            "from": self.source,
            "to": self.target,
            "deployment": self.deployment,
            "stop": self.stop_command,
            "start": self.start_command,
            "settings": self.settings,
            "backup": self.backup,
            "diff": list(self.diff),
            "read_through": self.proxy.as_dict() if self.proxy is not None else None,
            "to_copy": {"files": missing.files, "bytes": missing.bytes},
            "estimate": self.estimate.as_dict() if self.estimate is not None else None,
            "expected_downtime_seconds": round(self.downtime_seconds, 1),
            "unproven": list(self.unproven),
            "findings": [one.as_dict() for one in self.findings],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """A switch that came to its end.

    Numbers of raw files: `sample` read at both ends, `newest` copied while Bytes was stopped, `late` saved at the old
    place after that by something else than this Bytes, and copied too; `unsure` says why nobody can tell whether there
    are more, "" where all were looked at. `gave_new`: Bytes gave
    a raw file that it saved since its start; None where that was not waited for. `baseline_size` were asked for before the
    switch, `proven_old` and `proven_newest` given by Bytes after it, and `unknown` of the newest are not in Bytes'
    database. `proposal` None: an earlier command began this switch.
    """

    proposal: SwitchProposal | None
    story: Story
    sample: int
    newest: int = 0
    late: int = 0
    unsure: str = ""
    gave_new: bool | None = None
    baseline_size: int = 0
    proven_old: int = 0
    proven_newest: int = 0
    unknown: int = 0
    backup: str

    @property
    def exit_status(self) -> int:
        """1 where something is left to be looked at."""
        return 1 if self.unsure else 0
