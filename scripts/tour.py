"""A tour in print: runs the commands on made-up raw files with an S3 server of its own, and keeps what they say. Called by scripts/tour."""

from __future__ import annotations

import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from migrator.app.demo.sample import make_up
from migrator.app.demo.server import s3_server

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tour.md"
PICTURE = ROOT / "docs" / "images" / "report.png"
FILES = 1_200
STEPS = (
    (
        "Will it work there?",
        "Bytes' own calls are made on the target's buckets. What passed is left out here.",
        "doctor --from disk --to new.env --env-file bytes.conf --probe --yes",
    ),
    (
        "What would happen?",
        "A plan writes nothing, but the report that was asked for.",
        "plan --from disk --to new.env --env-file bytes.conf --report change-meeting",
    ),
    (
        "Copy, while Bytes runs.",
        "Stop it at any moment, and rerun it to resume.",
        "migrate --from disk --to new.env --env-file bytes.conf --yes --report filed",
    ),
    (
        "Prove it.",
        "Both ends are read in full, and a list of SHA-256 sums is kept.",
        "verify --from disk --to new.env --env-file bytes.conf --level content --manifest evidence",
    ),
    ("What happened so far?", "From the ledger, for a running command too.", "status"),
)


def main() -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("scripts/tour: there is no Chromium to take the picture with: apt install chromium")
    with tempfile.TemporaryDirectory() as name, s3_server() as url:
        folder = Path(name)
        make_up(folder / "data", FILES)
        _spread_over_months(folder / "data")
        (folder / "bytes.conf").write_text(f"BYTES_DATA_DIR={folder}/data\n")
        (folder / "new.env").write_text(
            f"S3_BUCKET=openkat-raw-files\nBUCKET_PER_ORG=false\nAWS_ENDPOINT_URL={url}\n"
            "AWS_ACCESS_KEY_ID=openkat\nAWS_SECRET_ACCESS_KEY=openkat-secret\n"
        )
        for file in ("bytes.conf", "new.env"):
            (folder / file).chmod(0o600)
        common = {url: "https://s3.example.org", f"{folder}/data": "/var/lib/kat-bytes"}
        parts = [HEAD]
        for title, about, words in STEPS:
            said = _without_passed(_with_common_names(_run(words, folder), common))
            parts.append(
                f"## {title}\n\n{about}\n\n```\n$ bytes-migrator {words}\n{said.replace(f'{folder}/', '')}```\n"
            )
        page = folder / "filed" / "report.html"
        page.write_text(_with_common_names(page.read_text(), common))
        _take_picture(chromium, page)
    PAGE.write_text("\n".join([*parts, TAIL]))
    print(f"{PAGE.relative_to(ROOT)} and {PICTURE.relative_to(ROOT)} are new; look at both.")


def _with_common_names(text: str, names: Mapping[str, str]) -> str:
    """Columns stay columns: a shorter name is filled up before spaces."""
    for name, common in names.items():
        text = re.sub(re.escape(name) + "(?=  )", common.ljust(len(name)), text).replace(name, common)
    return text


def _without_passed(text: str) -> str:
    """Without the findings that passed, which fill a terminal: how many there were stands in the last line."""
    return re.sub(r"(?:^pass: .*\n(?: {9}.*\n)*)+", "pass:    …\n", text, flags=re.MULTILINE)


def _spread_over_months(data: Path) -> None:
    """As if Bytes had saved for a year and a half, more and more."""
    generator = random.Random(1)
    for path in data.rglob("*"):
        if path.is_file():
            when = time.time() - 86_400 * (1 + 540 * generator.random() ** 2)
            os.utime(path, (when, when))


def _run(words: str, folder: Path) -> str:
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env = {
        **own,
        "XDG_STATE_HOME": str(folder / "state"),
        "HOME": str(folder),
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }
    done = subprocess.run(
        ["bytes-migrator", *shlex.split(words)], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"scripts/tour: bytes-migrator {words} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip() + "\n"


def _take_picture(chromium: str, page: Path) -> None:
    PICTURE.parent.mkdir(exist_ok=True)
    subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,1500",
         f"--screenshot={PICTURE}", page.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip


HEAD = f"""# A tour

What the commands say, from real runs on {FILES:,} made-up raw files. `scripts/tour` made this page.
"""
TAIL = """## The page of the run

`--report` keeps it in one file, with nothing fetched from elsewhere. It prints on A4.

![The report of a run as a page](images/report.png)
"""

if __name__ == "__main__":
    main()
