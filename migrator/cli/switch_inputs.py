"""What `switch` was given, as requests for the use cases; refuses options that do not fit together."""

from __future__ import annotations

import os
from typing import Any

from migrator.app.options import Options
from migrator.app.stopping import Stopping
from migrator.app.switch_installation import Installation, parts_for
from migrator.app.switch_plan import Planned, plan_switch
from migrator.app.switch_proxy_plan import ProxyRequest
from migrator.app.switch_request import SwitchRequest
from migrator.cli.options import overrides_of
from migrator.cli.progress import inspecting, watching
from migrator.config.rate_limits import seconds_of
from migrator.core.errors import SettingsError
from migrator.doctor.read_through_checks import ONLY_WAY
from migrator.switch.journal import Story
from migrator.switch.parts import parts_of

_MAX_DOWNTIME_SECONDS, _LISTINGS = 900.0, 4
_OF_NGINX = ("nginx_file", "nginx_test", "nginx_reload", "nginx_listen", "nginx_user")
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


def refuse_other_ends(given: dict[str, Any], story: Story) -> None:
    """Refuse another target than that of the switch which is not over.

    Raises:
        SettingsError: If so.
    """
    words = story.plan.words
    for name, word in (("--from", given["from_"]), ("--to", given["to"])):
        before = words.get(name.strip("-"))
        if word is not None and _absolute(word) != before:
            raise SettingsError(
                "switch-not-over",
                f"The switch from {story.plan.source} to {story.plan.target} is not over: nginx reads through.",
                why=f"{name} names another place.",
                cure="Run `bytes-migrator switch` without locations: it copies the rest; `switch --back` goes back.",
            )


def planned_switch(given: dict[str, Any], options: Options, stopping: Stopping, earlier: Story | None) -> Planned:
    """Plan the switch that was asked for. Raises MigratorError."""
    request = SwitchRequest(
        from_=_absolute(given["from_"]),
        to=_absolute(given["to"]),
        env_files=tuple(str(path.absolute()) for path in given["env_files"]),
        overrides=overrides_of(given),
    )
    reads_through = _proxy_request(given)
    if earlier is None:
        parts, found = parts_for(_installation(given), options, os.environ)
    else:
        _refuse_ends(given)
        plan = earlier.plan
        parts = parts_of(plan.deployment, plan.settings, given["api"] or plan.api)
        found = "as in the last switch"
    with inspecting(given, "both ends"):
        return plan_switch(
            request,
            parts,
            found,
            options,
            os.environ,
            watching(given),
            stopping,
            earlier=earlier,
            reads_through=reads_through,
        )


def _proxy_request(given: dict[str, Any]) -> ProxyRequest | None:
    """Return what was said of nginx; None without --read-through.

    Raises:
        SettingsError: If options do not fit together.
    """
    named = [f"--{name.replace('_', '-')}" for name in _OF_NGINX if given[name]]
    if not given["read_through"] and named:
        raise SettingsError(
            "read-through-options",
            f"{', '.join(named)}: only with --read-through.",
            cure="Add --read-through, or leave these out.",
        )
    if given["read_through"] and given["back"]:
        raise SettingsError(
            "read-through-direction",
            "There is no read-through on the way back.",
            why=ONLY_WAY,
            cure="Leave --read-through out.",
        )
    if not given["read_through"]:
        return None
    return ProxyRequest(
        file=given["nginx_file"],
        test=given["nginx_test"] or "",
        reload=given["nginx_reload"] or "",
        listen=given["nginx_listen"] or "",
        user=given["nginx_user"],
    )


def max_downtime(given: dict[str, Any], planned: Planned) -> float:
    """Return it in seconds: as given, else what is enough for a store of this size. Raises SettingsError."""
    if given["max_downtime"] is not None:
        return seconds_of(given["max_downtime"], "--max-downtime")
    return max(_MAX_DOWNTIME_SECONDS, _LISTINGS * planned.proposal.listing_seconds)


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
            "--back goes back from the last switch, and takes no location.",
            cure="Leave out the locations; or leave out --back, and name both ends.",
        )
