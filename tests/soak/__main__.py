"""``scripts/soak``: kill the program at random, go on, and count what is lost, torn, doubled or left behind."""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
from pathlib import Path

from tests.corpus import MIB
from tests.soak.kills import Figures, Plan, soak
from tests.soak.stage import say, stage


def main(words: list[str] | None = None) -> int:
    options = _options(words)
    plan = Plan(
        kills=options.kills,
        seed=options.seed if options.seed is not None else random.SystemRandom().getrandbits(32),
        small=options.small,
        large=options.large,
        large_bytes=options.large_size * MIB,
        faults=options.faults / 100,
        kills_a_leg=options.kills_a_migration,
    )
    say(f"seed {plan.seed}, {plan.kills} kills, {options.server}")
    with stage(options.server, at=options.folder) as here:
        figures = soak(here, plan)
    print_figures(figures, as_json=options.json)
    return 0 if figures.faultless else 1


def print_figures(figures: Figures, *, as_json: bool) -> None:
    for line in figures.wrong:
        say(line)
    if as_json:
        sys.stdout.write(json.dumps({**dataclasses.asdict(figures), "faultless": figures.faultless}) + "\n")
        return
    rows = figures.lines()
    width = max(len(name) for name, _ in rows)
    sys.stdout.write("".join(f"{name:{width}}  {value}\n" for name, value in rows))


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how often to kill (1000)")
    parser.add_argument("--seed", type=int, help="of all that is random but the scheduler (drawn, and printed)")
    parser.add_argument(
        "--server", choices=["weed", "moto"], default="weed", help="SeaweedFS (the default), or moto's server"
    )
    parser.add_argument("--small", type=int, default=200, metavar="N", help="small raw files in each migration (200)")
    parser.add_argument("--large", type=int, default=2, metavar="N", help="large raw files in each migration (2)")
    parser.add_argument("--large-size", type=int, default=24, metavar="MIB", help="size of the large ones (24)")
    parser.add_argument(
        "--faults", type=float, default=0.0, metavar="PERCENT", help="requests that go wrong besides (0)"
    )
    parser.add_argument(
        "--kills-a-migration", type=int, default=12, metavar="N", help="at most so many, then it ends (12)"
    )
    parser.add_argument("--folder", type=Path, help="where data, server and state lie while it runs (the system's)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
