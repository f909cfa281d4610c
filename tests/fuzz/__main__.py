"""libFuzzer on one target: called by ``scripts/fuzz``. It ends when the time is over, or at the first fault.

Runs in an environment that has atheris, which the project's own has not.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["migrator"]):
    from tests.fuzz.targets import TARGETS

CORPORA = Path(__file__).parent / "corpora"
MEGABYTES, LONGEST = 1024, 4096
CPU_SECONDS_OF_ONE_INPUT, SECONDS_OF_ONE_INPUT = 10, 300
"""A machine that stands still for a while is no hang of ours, so the short limit counts CPU; the long one is for what waits for ever."""


class TooLong(BaseException):
    """One input took more CPU than any may. No target catches it."""


def _too_long(number: int, frame: object) -> None:
    raise TooLong(f"more than {CPU_SECONDS_OF_ONE_INPUT} s of CPU for one input")


def main(name: str, found: str, *words: str) -> None:
    """Fuzz from the kept corpus, with what reaches new code put into the folder `found`; or, with -merge=1, keep what of it adds anything.

    `words` are libFuzzer's.
    """
    target, folder = TARGETS[name], Path(tempfile.mkdtemp(prefix="bytes-migrator-fuzz-"))

    signal.signal(signal.SIGVTALRM, _too_long)

    def once(data: bytes) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS_OF_ONE_INPUT)
        target(data, folder)

    kept = str(CORPORA / name)
    folders = [kept, found] if "-merge=1" in words else [found, kept]
    limits = (f"-rss_limit_mb={MEGABYTES}", f"-timeout={SECONDS_OF_ONE_INPUT}", f"-max_len={LONGEST}")
    again = f"{sys.executable} -m {__package__} {name} {found}"  # how libFuzzer starts itself, for each step of a merge
    is_step = any(word.startswith("-merge_control_file=") for word in words)
    try:
        atheris.Setup([again, *words] if is_step else [again, *limits, *words, *folders], once)
        atheris.Fuzz()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
