"""``bytes-migrator switch``: Bytes from its old place to the new one, with the way back built in."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from migrator.app.doctor import DoctorRequest, examine
from migrator.app.options import Options, Stopping
from migrator.app.switch_plan import Installation, Planned, parts_for, plan_switch, refuse_no_way_back
from migrator.app.switch_request import SwitchRequest
from migrator.app.switching import Switching, finish_unfinished
from migrator.cli.help import command
from migrator.cli.logs import log_to, say
from migrator.cli.migrate import refuse_without_terminal
from migrator.cli.options import (
    engine_options,
    limit_options,
    location_options,
    option,
    options_of,
    overrides_of,
    owner_option,
    switch_options,
    transfer_options,
)
from migrator.cli.output import stdout_columns
from migrator.cli.progress import looking, watching
from migrator.cli.signals import draining
from migrator.config.limits import seconds_of
from migrator.config.settings import DiskLocation
from migrator.core.errors import MigratorError, SettingsError
from migrator.reports.html.switch import proposal_as_html, switched_as_html
from migrator.reports.report_folder import ReportFolder, refuse_within
from migrator.reports.text.switch import (
    Switched,
    proposal_as_text,
    proposal_lines,
    rehearsed_as_json,
    rolled_back_lines,
    switched_as_json,
    switched_as_text,
    unfinished_lines,
)
from migrator.switch.deployment import KINDS
from migrator.switch.journal import Story, SwitchJournal
from migrator.switch.parts import parts_of

_MAX_DOWNTIME_SECONDS, _LOOKS = 900.0, 4
_ENDS = (
    "from_",
    "to",
    "env_files",
    "data_dir",
    "bucket",
    "bucket_prefix",
    "endpoint_url",
    "region",
    "profile",
    "ca_bundle",
)


@command(short_help="Switch Bytes to the new place, or back: all steps, with the way back built in.")
@location_options
@owner_option
@switch_options
@engine_options
@transfer_options
@limit_options
@option(
    "--deployment", type=click.Choice(KINDS), help="How Bytes is installed (default: found, where it is unmistakable)."
)
@option(
    "--service", metavar="NAME", help="Bytes' unit, Compose service or Deployment (default: kat-bytes, bytes, bytes)."
)
@option("--namespace", metavar="NAME", help="The Kubernetes namespace of Bytes (default: kubectl's own).")
@option("--stop", metavar="COMMAND", help="The shell command that stops Bytes, for any other installation.")
@option("--start", metavar="COMMAND", help="The shell command that starts Bytes.")
@option("--settings", metavar="FILE", help="The env file that Bytes is started with, or secret/NAME, configmap/NAME.")
@option(
    "--api",
    metavar="URL",
    help="The running Bytes, such as http://localhost:8002: seen healthy, and asked for raw files.",
)
@option(
    "--sample",
    type=click.IntRange(0, 10_000),
    default=20,
    show_default=True,
    help="Read about so many of the older raw files at both ends, as many of each organization, and ask Bytes for them.",
)
@option(
    "--new-within",
    metavar="TIME",
    default="1m",
    show_default=True,
    help="Wait so long for a raw file that Bytes saves after its start, and ask Bytes for it too; 0 waits for none.",
)
@option(
    "--max-downtime",
    metavar="TIME",
    help="Take the switch back where the last pass keeps Bytes stopped for longer"
    " (default: 15m, or four times as long as listing both ends took).",
)
@option(
    "--health-timeout",
    metavar="TIME",
    default="2m",
    show_default=True,
    help="Take the switch back where Bytes is not healthy so long after its start.",
)
@option("--rehearse", is_flag=True, help="Show the whole plan, after all checks that only read, and change nothing.")
@option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the plan, or what was done, there: switch.html and switch.json.",
)
@option(
    "--metrics-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the steps and their times there as Prometheus metrics, at the end, however it ended.",
)
@option("--back", is_flag=True, help="Go back from the last switch; what Bytes saved meanwhile is copied first.")
@option("--yes", is_flag=True, help="Do not ask; needed without a terminal.")
def switch(**given: Any) -> int:
    """Copy while Bytes runs, stop it, copy the rest, verify, change its settings, start it, and prove through Bytes that it works.

    It shows the whole plan and asks once. If a step fails after Bytes was stopped, Bytes gets its old settings back and is started.

    \b
    Examples:
      bytes-migrator switch --to new.env --deployment debian --api http://localhost:8002 --rehearse
      bytes-migrator switch --to new.env --deployment debian --api http://localhost:8002
      bytes-migrator switch --to disk --deployment compose
      bytes-migrator switch --back
    """
    with log_to(given), draining(given) as stopping:
        options = options_of({**given, "organizations": ()})
        journal = SwitchJournal(options.state)
        if given["rehearse"]:
            return _rehearse(given, journal, options, stopping)
        refuse_without_terminal(given)
        with journal.held():
            taken_back = finish_unfinished(journal, options, os.environ, lambda text: say(given, text))
            if taken_back is not None:
                for line in rolled_back_lines(taken_back):
                    say(given, line)
                say(given, "Run the same command again to switch.")
                return 1
            return _switch(given, journal, options, stopping)


def _rehearse(given: dict[str, Any], journal: SwitchJournal, options: Options, stopping: Stopping) -> int:
    """Show everything that would be done. Writes nothing but the report that was asked for."""
    story = journal.story()
    if story is not None and story.is_half_way:
        for line in unfinished_lines(story):
            say(given, line)
    earlier = refuse_no_way_back(story) if given["back"] else None
    planned = _planned(given, options, stopping, earlier)
    found = examine(planned.locations, options, DoctorRequest(), planned.plan.run)
    proposal = replace(planned.proposal, findings=tuple(found.findings))
    document = rehearsed_as_json(proposal, found.exit_status)
    _write_report(given, planned, proposal_as_html(proposal), document)
    click.echo(document if given["as_json"] else proposal_as_text(proposal, stdout_columns()))
    return found.exit_status


def _write_report(given: dict[str, Any], planned: Planned, page: str, document: str) -> None:
    """Write both files where a report was asked for. Raises SettingsError, CannotStart, MustStop."""
    if given["report"] is None:
        return
    ends = (planned.locations.source, planned.locations.target)
    folder = ReportFolder(given["report"], data_folders=[end.root for end in ends if isinstance(end, DiskLocation)])
    folder.write("switch.json", document + "\n")
    say(given, f"Report: {folder.write('switch.html', page)}")


def _switch(given: dict[str, Any], journal: SwitchJournal, options: Options, stopping: Stopping) -> int:
    earlier = refuse_no_way_back(journal.story()) if given["back"] else None
    planned = _planned(given, options, stopping, earlier)
    for line in proposal_lines(planned.proposal):
        say(given, line)
    if not given["yes"]:
        click.confirm("Switch Bytes now?", abort=True, err=True)
    _write_metrics(given, Story(planned.plan), planned)
    try:
        switched = _carried_out(given, planned, journal, options, stopping)
    finally:
        _write_last_metrics(given, journal, planned)
    document = switched_as_json(switched)
    try:
        _write_report(given, planned, switched_as_html(switched), document)
    except MigratorError as error:
        say(given, f"warning: {error}")
    click.echo(document if given["as_json"] else switched_as_text(switched, stdout_columns()))
    return switched.exit_status


def _carried_out(
    given: dict[str, Any], planned: Planned, journal: SwitchJournal, options: Options, stopping: Stopping
) -> Switched:
    return Switching(
        planned,
        journal,
        options,
        request={
            "parent": os.getpid(),
            "state": str(options.state.path),
            "owner": given["owner"],
            "forced": sorted(options.forced),
        },
        sample=given["sample"],
        new_within=0.0 if given["new_within"] == "0" else seconds_of(given["new_within"], "--new-within"),
        health_timeout=seconds_of(given["health_timeout"], "--health-timeout"),
        max_downtime=_max_downtime(given, planned),
        watch=watching(given),
        say=lambda text: say(given, text),
        stopping=stopping,
    ).run()


def _write_metrics(given: dict[str, Any], story: Story, planned: Planned) -> None:
    """Write the metrics where they were asked for. Raises SettingsError, CannotStart."""
    path = given["metrics_file"]
    if path is not None:
        from migrator.reports.metrics import write_switch_metrics  # noqa: PLC0415 start-up time is everybody's

        ends = (planned.locations.source, planned.locations.target)
        refuse_within(path, [end.root for end in ends if isinstance(end, DiskLocation)], "--metrics-file")
        write_switch_metrics(path, story)


def _write_last_metrics(given: dict[str, Any], journal: SwitchJournal, planned: Planned) -> None:
    """Write them as the journal has them at the end; a metrics file that fails now is no failure of the switch."""
    try:
        _write_metrics(given, journal.story() or Story(planned.plan), planned)
    except MigratorError as error:
        say(given, f"warning: {error}")


def _planned(given: dict[str, Any], options: Options, stopping: Stopping, earlier: Story | None) -> Planned:
    request = SwitchRequest(
        from_=_absolute(given["from_"]),
        to=_absolute(given["to"]),
        env_files=tuple(str(path.absolute()) for path in given["env_files"]),
        overrides=overrides_of(given),
    )
    if earlier is None:
        parts, found = parts_for(_installation(given), options, os.environ)
    else:
        _refuse_ends(given)
        plan = earlier.plan
        parts = parts_of(plan.deployment, plan.settings, given["api"] or plan.api)
        found = "as in the last switch"
    with looking(given, "both ends"):
        return plan_switch(request, parts, found, options, os.environ, watching(given), stopping, earlier=earlier)


def _max_downtime(given: dict[str, Any], planned: Planned) -> float:
    """Return it in seconds: as given, else what is enough for a store of this size. Raises SettingsError."""
    if given["max_downtime"] is not None:
        return seconds_of(given["max_downtime"], "--max-downtime")
    return max(_MAX_DOWNTIME_SECONDS, _LOOKS * planned.proposal.looked_seconds)


def _absolute(word: str | None) -> str | None:
    """Return a location that holds in other folders too: the way back may be asked for from anywhere."""
    return os.path.abspath(word) if word is not None and os.path.exists(word) and word not in ("disk", "s3") else word


def _installation(given: dict[str, Any]) -> Installation:
    return Installation(
        deployment=given["deployment"],
        **{name: given[name] or "" for name in ("service", "namespace", "stop", "start", "settings", "api")},
    )


def _refuse_ends(given: dict[str, Any]) -> None:
    """Refuse locations beside --back: the way back is between the ends of the last switch.

    Raises:
        SettingsError: If one is given.
    """
    if any(given[name] for name in _ENDS) or given["bucket_per_org"] is not None:
        raise SettingsError(
            "switch-back-ends",
            "--back goes back between the ends of the last switch, and takes no location.",
            cure="Leave the locations out; or leave --back out, and name both ends.",
        )
