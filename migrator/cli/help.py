"""`--help` in sections: the options that most people need first, then the others by what they are about.

In: a command's parameters. Out: the options part of its help. Imports click alone.
"""

from __future__ import annotations

import functools

import click

_MOST_USED = ("from_", "to", "env_files", "probe", "level", "confirm", "yes", "full", "report", "organizations")
"""By name of the parameter; the first five that a command has come first in its help."""
_SHOWN_FIRST = 5
_SECTIONS = {
    "Locations and settings": (
        *("from_", "to", "env_files", "data_dir", "bucket", "bucket_prefix", "bucket_per_org", "endpoint_url"),
        *("region", "profile", "ca_bundle", "owner", "database", "api"),
    ),
    "What to work on": (
        *("organizations", "newer_than", "older_than", "allow_empty", "compare", "settle", "full", "reread", "level"),
        *(
            "sample",
            "seed",
            "fresh",
            "against",
            "forced",
            "create_buckets",
            "probe",
            "bytes_version",
            "dry_run",
            "max_delete",
            "break_lock",
        ),
        *("until_idle", "once_stopped", "confirm", "yes"),
    ),
    "The switch": (
        *("rehearse", "back", "read_through", "deployment", "service", "namespace", "stop", "start", "settings"),
        *("max_downtime", "health_timeout", "new_within"),
        *("nginx_file", "nginx_test", "nginx_reload", "nginx_listen", "nginx_user"),
    ),
    "Limits": ("jobs", "bandwidth", "max_requests", "max_duration", "patience", "timeout"),
    "Output": (
        *("as_json", "color", "quiet", "no_progress", "verbose", "log_format", "log_file", "report", "metrics_file"),
        *("on_finish", "manifest", "help"),
    ),
    "Engine and state": ("engine", "scheduler", "state_dir"),
}


class GroupedCommand(click.Command):
    """A command whose help has its options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections; an option of no section is among the others, last."""
        records = {
            "help" if "--help" in one.opts else one.name or "": record
            for one in self.get_params(ctx)
            if (record := one.get_help_record(ctx))
        }
        first = [name for name in _MOST_USED if name in records][:_SHOWN_FIRST]
        sections = {"Most used": first}
        for title, names in _SECTIONS.items():
            sections[title] = [name for name in names if name in records and name not in first]
        placed = {name for names in sections.values() for name in names}
        sections["Other options"] = [name for name in records if name not in placed]
        for title, chosen in sections.items():
            if chosen:
                with formatter.section(title):
                    formatter.write_dl([records[name] for name in chosen])


command = functools.partial(click.command, cls=GroupedCommand)
