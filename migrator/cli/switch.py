"""``bytes-migrator switch``: Bytes from its old place to the new one, with the way back built in."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from migrator.app.doctor import examine
from migrator.app.doctor_examination import DoctorRequest
from migrator.app.options import Options
from migrator.app.stopping import Stopping
from migrator.app.switch_copy_first import Switching
from migrator.app.switch_plan import Planned, refuse_no_way_back
from migrator.app.switch_read_through import ReadThroughSwitching
from migrator.app.switch_resume import OpenSwitch, go_back, go_on
from migrator.app.switch_rollback import finish_unfinished
from migrator.app.switch_run import SwitchLimits
from migrator.cli.doctor import NGINX_USER
from migrator.cli.help import command
from migrator.cli.logs import log_to, say
from migrator.cli.migrate import refuse_without_terminal
from migrator.cli.number_types import Number
from migrator.cli.options import (
    engine_options,
    limit_options,
    location_options,
    option,
    options_of,
    owner_option,
    switch_options,
    transfer_options,
)
from migrator.cli.progress import waiting, watching
from migrator.cli.signals import draining
from migrator.cli.switch_inputs import max_downtime, planned_switch, refuse_other_ends
from migrator.cli.terminal import stdout_columns
from migrator.config.locations import DiskLocation, Locations
from migrator.config.rate_limits import seconds_of
from migrator.core.errors import MigratorError
from migrator.reports.html.switch_page import proposal_as_html, switched_as_html
from migrator.reports.report_folder import ReportFolder, refuse_within
from migrator.reports.switch_report import Switched
from migrator.reports.text.switch import (
    proposal_as_text,
    proposal_lines,
    rehearsed_as_json,
    rolled_back_lines,
    switched_as_json,
    switched_as_text,
    taken_back_as_json,
    unfinished_lines,
)
from migrator.switch.deployment import KINDS
from migrator.switch.journal import Story, SwitchJournal


@command(short_help="Switch Bytes to the new place, or back: all steps, with the way back built in.")
@location_options
@owner_option
@switch_options
@engine_options
@transfer_options
@limit_options
@option("--deployment", type=click.Choice(KINDS), help="How Bytes is installed (default: found, if unmistakable).")
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
    type=Number(0, 10_000),
    metavar="N",
    default=20,
    show_default=True,
    help="Read about so many of the older raw files at both ends, as many of each organization, and ask Bytes for them.",
)
@option(
    "--new-within",
    metavar="TIME",
    default="1m",
    show_default=True,
    help="Wait this long for a raw file that Bytes saves after its start, and ask Bytes for it too; 0 does not wait.",
)
@option(
    "--max-downtime",
    metavar="TIME",
    help="Take the switch back if the last pass keeps Bytes stopped for longer"
    " (default: 15m, or four times as long as listing both ends took).",
)
@option(
    "--health-timeout",
    metavar="TIME",
    default="2m",
    show_default=True,
    help="Take the switch back if Bytes is not healthy this long after its start.",
)
@option(
    "--read-through",
    is_flag=True,
    help="Disk to S3: nginx serves from the data folder what S3 does not have yet, so Bytes is switched first.",
)
@option(
    "--nginx-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="nginx' file before the S3 server (default: found in /etc/nginx, where it is unmistakable), for --read-through.",
)
@option(
    "--nginx-test", metavar="COMMAND", help="The shell command that tests nginx' configuration (default: nginx -t)."
)
@option(
    "--nginx-reload",
    metavar="COMMAND",
    help="The shell command that reloads nginx (default: systemctl reload nginx, or nginx -s reload without systemd).",
)
@option(
    "--nginx-listen",
    metavar="ADDRESS:PORT",
    help="Where nginx will listen, for a new file, and Bytes reaches it (default: 127.0.0.1:8334).",
)
@NGINX_USER
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
      bytes-migrator switch --to new.env --deployment debian --api http://localhost:8002 --read-through
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
            story = journal.story()
            if story is not None and story.is_reading_through:
                return _go_on(given, story, journal, options, stopping)
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
    if story is not None and story.is_unfinished:
        for line in unfinished_lines(story):
            say(given, line)
    earlier = refuse_no_way_back(story) if given["back"] else None
    planned = planned_switch(given, options, stopping, earlier)
    found = examine(planned.reachable, options, DoctorRequest(), planned.plan.run)
    of_nginx = planned.proxy.findings if planned.proxy is not None else ()
    proposal = replace(planned.proposal, findings=(*of_nginx, *found.findings))
    document = rehearsed_as_json(proposal, found.exit_status)
    _write_report(given, planned.locations, proposal_as_html(proposal), document)
    click.echo(document if given["as_json"] else proposal_as_text(proposal, stdout_columns()))
    return found.exit_status


def _write_report(given: dict[str, Any], locations: Locations, page: str, document: str) -> None:
    """Write both files where a report was asked for. Raises SettingsError, CannotStart, MustStop."""
    if given["report"] is None:
        return
    ends = (locations.source, locations.target)
    folder = ReportFolder(given["report"], data_folders=[end.root for end in ends if isinstance(end, DiskLocation)])
    folder.write("switch.json", document + "\n")
    say(given, f"Report: {folder.write('switch.html', page)}")


def _switch(given: dict[str, Any], journal: SwitchJournal, options: Options, stopping: Stopping) -> int:
    earlier = refuse_no_way_back(journal.story()) if given["back"] else None
    planned = planned_switch(given, options, stopping, earlier)
    for line in proposal_lines(planned.proposal):
        say(given, line)
    if not given["yes"]:
        click.confirm("Switch Bytes now?", abort=True, err=True)
    _write_metrics(given, Story(planned.plan), planned.locations)
    try:
        switched = _carried_out(given, planned, journal, options, stopping)
    finally:
        _write_last_metrics(given, journal, Story(planned.plan), planned.locations)
    return _print_ended(given, switched, planned.locations)


def _go_on(given: dict[str, Any], story: Story, journal: SwitchJournal, options: Options, stopping: Stopping) -> int:
    """Go on with a switch that reads through, or back from it where that was asked for."""
    refuse_other_ends(given, story)
    for line in unfinished_lines(story):
        say(given, line)
    what = "Go back, with what Bytes saved meanwhile?" if given["back"] else "Copy the rest?"
    if not given["yes"]:
        click.confirm(what, abort=True, err=True)
    open_switch = OpenSwitch(
        story=story,
        journal=journal,
        options=options,
        sample=given["sample"],
        env_files=given["env_files"],
        watch=watching(given),
        say=lambda text: say(given, text),
        stopping=stopping,
    )
    locations = open_switch.locations(os.environ)
    try:
        if given["back"]:
            ended = go_back(open_switch, locations)
            click.echo(taken_back_as_json(ended) if given["as_json"] else "\n".join(rolled_back_lines(ended)))
            return 0
        switched = go_on(open_switch, locations, os.environ)
    finally:
        _write_last_metrics(given, journal, story, locations)
    return _print_ended(given, switched, locations)


def _print_ended(given: dict[str, Any], switched: Switched, locations: Locations) -> int:
    """Write the report, and say what was done; return the exit status."""
    document = switched_as_json(switched)
    try:
        _write_report(given, locations, switched_as_html(switched), document)
    except MigratorError as error:
        say(given, f"warning: {error}")
    click.echo(document if given["as_json"] else switched_as_text(switched, stdout_columns()))
    return switched.exit_status


def _carried_out(
    given: dict[str, Any], planned: Planned, journal: SwitchJournal, options: Options, stopping: Stopping
) -> Switched:
    kind = Switching if planned.proxy is None else ReadThroughSwitching
    return kind(
        planned,
        journal,
        options,
        request={
            "parent": os.getpid(),
            "state": str(options.state.path),
            "owner": given["owner"],
            "forced": sorted(options.forced),
        },
        limits=SwitchLimits(
            sample=given["sample"],
            new_within=0.0 if given["new_within"] == "0" else seconds_of(given["new_within"], "--new-within"),
            max_downtime=max_downtime(given, planned),
            health=seconds_of(given["health_timeout"], "--health-timeout"),
        ),
        watch=watching(given),
        say=lambda text: say(given, text),
        waits=lambda what, seconds: waiting(given, what, seconds),
        stopping=stopping,
    ).run()


def _write_metrics(given: dict[str, Any], story: Story, locations: Locations) -> None:
    """Write the metrics where they were asked for. Raises SettingsError, CannotStart."""
    path = given["metrics_file"]
    if path is not None:
        from migrator.reports.metrics import write_switch_metrics  # noqa: PLC0415 start-up time is everybody's

        ends = (locations.source, locations.target)
        refuse_within(path, [end.root for end in ends if isinstance(end, DiskLocation)], "--metrics-file")
        write_switch_metrics(path, story)


def _write_last_metrics(given: dict[str, Any], journal: SwitchJournal, began: Story, locations: Locations) -> None:
    """Write them as the journal has them at the end; a metrics file that fails now is no failure of the switch."""
    try:
        _write_metrics(given, journal.story() or began, locations)
    except MigratorError as error:
        say(given, f"warning: {error}")
