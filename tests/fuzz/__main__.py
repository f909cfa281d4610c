"""libFuzzer on one target: called by ``scripts/fuzz``. It ends when the time is over, or at the first fault.

Runs in an environment that has atheris, which the project's own has not.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["migrator"]):
    from tests.fuzz.targets import TARGETS

CORPORA = Path(__file__).parent / "corpora"
MEGABYTES, SECONDS_OF_ONE_INPUT, LONGEST = 1024, 10, 4096


def main(name: str, found: str, *words: str) -> None:
    """Fuzz from the kept corpus, with what reaches new code put into the folder `found`; or, with -merge=1, keep what of it adds anything.

    `words` are libFuzzer's.
    """
    target, folder = TARGETS[name], Path(tempfile.mkdtemp(prefix="bytes-migrator-fuzz-"))

    def once(data: bytes) -> None:
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
