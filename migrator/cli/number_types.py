"""Numbers as options take them."""

from __future__ import annotations

import math
from typing import Any

import click


class Number(click.IntRange):
    """A whole number within bounds."""

    name = "whole number"


class Seconds(click.FloatRange):
    """A number of seconds, 0 or more. What lasts for ever is no number: it would be compared with times, and added to them."""

    name = "number of seconds"

    def __init__(self) -> None:
        super().__init__(0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises click.BadParameter for anything else, "nan" and "inf" too."""
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a valid number of seconds.", param, ctx)
        return seconds
