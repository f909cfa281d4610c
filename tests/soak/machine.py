"""The state machines of tests/properties at length, with their steps counted."""

from __future__ import annotations

import traceback
from collections import Counter

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from tests.properties.test_stateful import Migrations
from tests.properties.test_stateful_disk import OnDisk

STEPS = 500
"""At most so many in one walk."""


def walked(first_seed: int, walks: int) -> tuple[int, list[str]]:
    """Walk each machine so often, at random by the seed. Returns the steps, and the walk that broke a law, if one did."""
    taken: Counter[str] = Counter()
    wrong = []
    for machine in (Migrations, OnDisk):

        class Counted(machine):  # type: ignore[misc, valid-type]
            @invariant()
            def one_more(self) -> None:
                taken["steps"] += 1

        length = settings(
            max_examples=walks,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(seed(first_seed)(Counted), settings=length)
        except Exception:
            wrong.append(f"{machine.__name__}, seed {first_seed}: {traceback.format_exc()}")
    return taken["steps"], wrong
