"""The console command ``bytes-migrator`` and ``python -m migrator``: the same.

Nothing of what is imported is ever garbage, and looking for it takes a tenth of a short run's CPU: the collector is off while the program
starts, and seldom runs afterwards.
"""

from __future__ import annotations

import gc

_ALLOCATIONS_BEFORE_COLLECTION = 100_000
"""More than the start makes, botocore's model of S3 with it: to look through those 50,000 objects once takes 20 ms."""


def main() -> None:
    """Run the command line and exit."""
    gc.disable()
    from migrator.cli.main import main as run  # noqa: PLC0415 importing is what takes the time

    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BEFORE_COLLECTION, 20, 20)
    gc.enable()
    run()


if __name__ == "__main__":
    main()
