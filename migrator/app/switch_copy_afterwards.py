"""What is left of a switch that reads through, with Bytes at its new place: copy everything, verify, and end reading through.

Nothing here takes Bytes back. What fails, is interrupted or killed leaves Bytes at the new place with everything readable; the same command
goes on, and `switch --back` goes back.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace

from migrator.app.first_checks import prepare_to_migrate
from migrator.app.options import Options, Watch
from migrator.app.store_factory import patience_of, reading
from migrator.app.switch_api_proof import content_served, not_given, sampled
from migrator.app.switch_copying import catch_up_whole, copy_all, refuse_lacking, refuse_unequal
from migrator.app.switch_run import StepLog
from migrator.app.verifying import VerifyRequest, verify_both
from migrator.checks.audit.bytes_api import BytesApi
from migrator.checks.prover import Level
from migrator.config.locations import Location, Locations, S3Location
from migrator.core.entities import RawFile
from migrator.core.errors import MigratorError, MustStop
from migrator.core.notices import ignore_notice
from migrator.stores.s3.probes.read_through import reads_through
from migrator.switch.journal import SwitchEnd, SwitchPlan
from migrator.switch.proxy import Proxy
from migrator.switch.steps import SwitchStep

_SEEN_SECONDS = 15.0
"""The longest that nginx may take until all of its answers are by the new file."""
_POLL_SECONDS = 0.1
_ALIKE = 3
"""Answers in a row that say the same: a worker with the old file may answer once more."""
_AT_ONCE_THROUGH_NGINX = 128
"""Requests in flight where nobody says otherwise. Each takes two connections of a worker of nginx, which has 512 by nginx' default, 768 on
Debian, and answers HTTP 500 beyond that: to Bytes too."""
_OUTCOME = "nginx goes on reading through"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Everything that comes after Bytes works at its new place. `api` None: no login, so Bytes is not asked."""

    plan: SwitchPlan
    locations: Locations
    proxy: Proxy
    options: Options
    log: StepLog
    api: BytesApi | None
    sample: int
    watch: Watch

    def run(self) -> int:
        """Do it, and end the journal; return how many raw files of a sample were read at both ends.

        Raises:
            MustStop: If it did not come to its end: Bytes is at the new place, and nginx reads through.
        """
        try:
            sample = self._steps()
        except MigratorError as error:
            raise MustStop(
                "switch-reads-through",
                f"Bytes is at {self.plan.target}, and nginx reads through. The switch is not finished: {error.what}",
                why=error.why,
                cure="Rerun to resume. To go back instead: bytes-migrator switch --back. Until then, leave the "
                "data folder and nginx' file as they are.",
            ) from error
        self.proxy.tidy()
        self.log.journal.end(SwitchEnd.SWITCHED)
        return len(sample)

    def _steps(self) -> list[RawFile]:
        with self.log.step(SwitchStep.COPY):
            self._copy()
        with self.log.step(SwitchStep.VERIFY):
            self._verify()
        with self.log.step(SwitchStep.END_READ_THROUGH):
            return self._end()

    def _copy(self) -> None:
        prepared = prepare_to_migrate(self.locations, self.options, self.log.stopping)
        refuse = self.log.refuse_stopping
        copy_all(prepared, self.options, self.watch, self.log.stopping, outcome=_OUTCOME, refuse_stopping=refuse)

    def _verify(self) -> None:
        """List both ends whole, until nothing more comes; then prove every raw file, not relying on how it was copied.

        Raises:
            MustStop: If one is not proven.
        """
        self.log.say("Listing both ends once more …")
        found, _ = catch_up_whole(self.locations, self.options, seconds=self.options.patience)
        self.log.refuse_stopping()
        refuse_lacking(found.lacking, self.plan.target, _OUTCOME)
        if found.unsure:
            raise MustStop("switch-not-whole", found.unsure, cure="Fix what it names, then rerun.")
        request = VerifyRequest(level=Level.ETAG, shows_progress=False)
        proven = verify_both(self.locations, self.options, request, self.watch, self.log.stopping)
        self.log.refuse_stopping()
        if proven.exit_status != 0:
            raise MustStop(
                "switch-unproven",
                f"Not every raw file is proven to be at {self.plan.target}.",
                why="Read-through would hide what is missing.",
                cure="`bytes-migrator verify` with the same locations lists what differs.",
            )

    def _end(self) -> list[RawFile]:
        """End reading through, and read from the new place alone; what cannot be read there is read through again."""
        self.proxy.end()
        try:
            wait_until_it_reads(self.locations.target, self.proxy, through=False)
            sample = self._sample()
            refuse_unequal(sample, self.locations, self.options, self.log.stopping, self.log.refuse_stopping)
            for raw_file in sample if self.api is not None else ():
                self._refuse_not_given(raw_file)
        except BaseException:
            with suppress(MigratorError):
                self.proxy.read_through_again()
            raise
        return sample

    def _refuse_not_given(self, raw_file: RawFile) -> None:
        """Raise MustStop where Bytes knows this raw file and does not give it."""  # noqa: DOC501 made by not_given
        if self.api is not None and (status := content_served(self.api, raw_file).status) not in (200, 404):
            raise not_given(self.api, raw_file, status)

    def _sample(self) -> list[RawFile]:
        with reading(self.locations.source, patience_of(self.options, self.log.stopping.event)) as source:
            organizations = list(source.organizations(ignore_notice))
            return sampled(source, organizations, self.sample, seed=self.plan.run)


def sharing_nginx(options: Options) -> Options:
    """Return the options with which nginx has connections left for Bytes."""
    return replace(options, jobs=options.jobs or _AT_ONCE_THROUGH_NGINX)


def wait_until_it_reads(target: Location, proxy: Proxy, *, through: bool) -> None:
    """Wait until nginx answers as its new file says.

    Raises:
        MustStop: If it does not within _SEEN_SECONDS.
    """
    until, alike = time.monotonic() + _SEEN_SECONDS, 0
    while isinstance(target, S3Location) and alike < _ALIKE:
        alike = alike + 1 if reads_through(target) is through else 0
        if time.monotonic() > until:
            raise MustStop(
                "read-through-not-loaded",
                f"nginx was reloaded, and its answers at {proxy.endpoint_url} do not show that it reads {proxy.file}.",
                why=f"It answers {'without' if through else 'still with'} the header of read-through.",
                cure="Check nginx' error log, that nginx includes that file, and that nothing else listens there.",
            )
        if not alike:
            time.sleep(_POLL_SECONDS)
