"""Options that stand for settings of Bytes: as a layer over all others, and refused where they would change nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields

from migrator.config.env_file import Setting
from migrator.config.environment import (
    BUCKET,
    BUCKET_PER_ORG,
    BUCKET_PREFIX,
    CA_BUNDLE,
    DATA_DIR,
    ENDPOINT_URL,
    PROFILE,
    REGION,
)
from migrator.config.locations import Location, Overrides, S3Location
from migrator.core.errors import SettingsError

OVERRIDING_OPTIONS = {
    "data_dir": (DATA_DIR, "--data-dir"),
    "bucket": (BUCKET, "--bucket"),
    "bucket_prefix": (BUCKET_PREFIX, "--bucket-prefix"),
    "bucket_per_org": (BUCKET_PER_ORG, "--bucket-per-org/--single-bucket"),
    "endpoint_url": (ENDPOINT_URL, "--endpoint-url"),
    "region": (REGION, "--region"),
    "profile": (PROFILE, "--profile"),
    "ca_bundle": (CA_BUNDLE, "--ca-bundle"),
}
"""The setting, and the option, of each field of `Overrides`."""


def option_layer(overrides: Overrides) -> dict[str, Setting]:
    """Return the settings that were given as options, each with its option as its origin."""
    layer = {}
    for item in fields(overrides):
        given: str | bool | None = getattr(overrides, item.name)
        name, option = OVERRIDING_OPTIONS[item.name]
        if isinstance(given, bool):
            option = "--bucket-per-org" if given else "--single-bucket"
            layer[name] = Setting(name, str(given).lower(), option)
        elif given is not None:
            value = os.path.abspath(os.path.expanduser(given)) if name == DATA_DIR and given else given
            layer[name] = Setting(name, value, option)
    return layer


def refuse_idle_options(overrides: Overrides, words: Sequence[str], ends: Sequence[Location]) -> None:
    """Refuse an option that applies to neither end: none is silently ignored.

    Raises:
        SettingsError: If one is given that changes nothing here.
    """
    reach = {DATA_DIR: "disk" in words} | dict.fromkeys((BUCKET, BUCKET_PREFIX, BUCKET_PER_ORG), "s3" in words)
    any_s3 = any(isinstance(end, S3Location) for end in ends)
    for item in fields(overrides):
        name, option = OVERRIDING_OPTIONS[item.name]
        if getattr(overrides, item.name) is None or reach.get(name, any_s3):
            continue
        where = "the word disk" if name == DATA_DIR else "the word s3" if name in reach else "an end on S3"
        raise SettingsError(
            "option-without-end",
            f"{option} applies to neither end.",
            why=f"It changes {where}; this goes from {words[0]} to {words[1]}.",
            cure=f"Leave {option} out, or name the location by {where}.",
        )
