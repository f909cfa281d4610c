"""Switches Bytes first, while nginx reads through to the data folder, and copies everything behind it: nothing is unreadable meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from migrator.app.read_through import user_of_nginx
from migrator.app.store_factory import as_refusal, patience_of, reading, writing
from migrator.app.switch_copy_afterwards import Behind, sharing_nginx, wait_until_it_reads
from migrator.app.switch_copying import refuse_another_content
from migrator.app.switch_plan import refuse_what_doctor_refuses
from migrator.app.switch_proxy_plan import ProxyRequest, refuse_unreadable_folder
from migrator.app.switch_rollback import named
from migrator.app.switch_run import SwitchRun
from migrator.config.locations import DiskLocation, S3Location
from migrator.core.entities import RawFile
from migrator.core.errors import MustStop
from migrator.core.notices import NoticeKind, ignore_notice
from migrator.core.outcomes import Outcome
from migrator.reports.switch_report import Switched
from migrator.stores.disk.ownership_repair import let_group_pass
from migrator.stores.s3.capabilities import Capabilities
from migrator.stores.s3.probes.read_through import ask_through
from migrator.switch.steps import SwitchStep
from migrator.sync.folder_change_detector import ChangeDetector

_MOST_ASKED = 200
"""So many of the newest raw files are asked for through Bytes; all of them are asked for through nginx."""
_TRIES, _BETWEEN_TRIES_SECONDS = 4, 0.3


class ReadThroughSwitching(SwitchRun):
    """A switch that changes Bytes' settings first. Until Bytes is proven to work it is taken back like any other."""

    _news: ChangeDetector

    def run(self) -> Switched:
        """Carry it out, to the end of reading through. Raises MigratorError where it did not end well."""
        switched, planned = super().run(), self._planned
        behind = Behind(
            plan=planned.plan,
            locations=planned.locations,
            proxy=planned.nginx.proxy,
            options=sharing_nginx(self._options),
            log=self._log,
            api=planned.api,
            sample=self._limits.sample,
            watch=self._watch,
        )
        sample = behind.run()
        return replace(switched, sample=sample, story=self._journal.story() or switched.story)

    def _end(self) -> None:
        """The journal stays open: the copying behind is part of the switch."""

    def _before_the_stop(self) -> None:
        planned, log = self._planned, self._log
        self._refuse_hidden_folders()
        self._start_guard()
        planned.parts.store.stage(planned.old, planned.new, planned.plan.run)
        with log.step(SwitchStep.READ_THROUGH):
            planned.nginx.proxy.install(planned.nginx.old, planned.nginx.on)
            wait_until_it_reads(planned.locations.target, planned.nginx.proxy, through=True)
        with log.step(SwitchStep.LOOK):
            self._take_down_what_is_there()
            refuse_what_doctor_refuses(planned.locations, self._options, probe=True)
            self._make_buckets()
            refuse_unreadable_folder(planned.locations, ProxyRequest(user=planned.nginx.user), self._options.forced)
            if planned.migration.overall[Outcome.PRESENT].files:
                refuse_another_content(planned.locations, self._options, self._watch, self._stopping)
            self._draw_sample()
            self._refuse_unreadable(self._scene.sample)
            self._let_nginx_read()

    def _refuse_hidden_folders(self) -> None:
        """Refuse to switch first where raw files would never come through: nginx follows no link, and neither does the copying.

        Raises:
            MustStop: If a folder of the source is a link, or cannot be read.
        """
        problems = self._planned.migration.totals.problems
        hidden = [one for one in problems if one.kind == NoticeKind.UNREADABLE_FOLDER.value]
        if hidden:
            raise MustStop(
                "switch-folders-hidden",
                f"Folders hide raw files, so Bytes was not stopped: {named([f'{one.where}: {one.reason}' for one in hidden])}",
                cure="Give the right to read them, or mount each folder in the place of its link; then rerun.",
            )

    def _with_bytes_stopped(self) -> None:
        self._refuse_to_stop()
        self._stop_bytes()
        with self._log.step(SwitchStep.LET_READ):
            self._let_nginx_read()
        self._start_at_the_new_place()
        with self._log.step(SwitchStep.PROVE):
            self._prove()
            self._prove_new_one()

    def _make_buckets(self) -> None:
        """Nginx reads through for buckets that exist. Raises CannotStart where one cannot be made."""
        planned = self._planned
        patience = patience_of(self._options, self._stopping.event)
        with (
            as_refusal(),
            writing(
                planned.locations.target,
                patience,
                run_id=planned.plan.run,
                abilities=Capabilities(),
                create_buckets=self._options.create_buckets,
            ) as target,
        ):
            for organization in planned.prepared.movable:
                target.prepare(organization)

    def _take_down_what_is_there(self) -> None:
        """Remember how every index folder is, before nginx' rights are looked at: what comes in later is looked at again."""
        patience = patience_of(self._options, self._stopping.event)
        source = self._stack.enter_context(reading(self._planned.locations.source, patience))
        self._news = ChangeDetector(source, settle_ns=0)
        self._news.remember(self._planned.prepared.overview.organizations)

    def _let_nginx_read(self) -> None:
        """Let nginx' user pass index folders that are new, and see that all that came in since the last look is readable through nginx.

        Raises:
            MustStop: If a raw file is not, or an organization is new.
        """
        planned = self._planned
        with reading(planned.locations.source, patience_of(self._options, self._stopping.event)) as source:
            new = set(source.organizations(ignore_notice)) - set(planned.prepared.overview.organizations)
        if new:
            raise MustStop(
                "read-through-organization",
                f"Bytes saved the first raw file of {', '.join(sorted(new))} after nginx' lines were made.",
                why="They name the earlier organizations.",
                cure="Rerun the same command.",
            )
        found = self._news.changes()
        newest = [RawFile(name, entry.raw_id) for name, entries in found.entries.items() for entry in entries]
        self._refuse_unreadable(newest)
        self._scene.newest = (*self._scene.newest, *newest)[-_MOST_ASKED:]

    def _open_folders(self) -> None:
        """Bytes makes folders that its group may not pass: where nginx' user is in the group, let the group pass them."""
        user, source = user_of_nginx(self._planned.nginx.user), self._planned.locations.source
        if user is not None and isinstance(source, DiskLocation):
            let_group_pass(source.root, user)

    def _refuse_unreadable(self, raw_files: Sequence[RawFile]) -> None:
        """Ask nginx for these raw files; one that is in a new folder, or still being written while Bytes runs, is asked for again.

        Raises:
            MustStop: If it does not give one, or another size.
        """
        reasons: dict[RawFile, str] = {}
        for attempt in range(_TRIES):
            if attempt:
                self._stopping.event.wait(_BETWEEN_TRIES_SECONDS)
            self._open_folders()
            reasons = self._unreadable(raw_files)
            raw_files = list(reasons)
            if not raw_files:
                return
        raw_file, reason = next(iter(reasons.items()))
        raise MustStop(
            "read-through-unreadable",
            f"Through nginx, the raw file {raw_file.raw_id} of {raw_file.organization} is not readable ({reason}).",
            why="nginx cannot read it in the data folder, or looks elsewhere.",
            cure="See nginx' error log. As root, `bytes-migrator doctor --read-through` prints the commands "
            "that let it read; in a container, mount the data folder at the same path, read-only.",
        )

    def _unreadable(self, raw_files: Sequence[RawFile]) -> dict[RawFile, str]:
        """Return which of these nginx does not give, and what it says."""
        locations, found = self._planned.locations, {}
        if not isinstance(locations.target, S3Location) or not raw_files:
            return {}
        with reading(locations.source, patience_of(self._options, self._stopping.event)) as source:
            for answer in ask_through(locations.target, raw_files):
                entry = source.stat(answer.raw_file)
                if entry is not None and answer.status != 200:
                    found[answer.raw_file] = f"HTTP {answer.status}"
                elif entry is not None and answer.size != entry.size:
                    found[answer.raw_file] = f"{answer.size} B of {entry.size}"
        return found
