"""What is shipped: the lock file holds everything that setup.cfg asks for, and each Python and machine gets what it needs."""

from __future__ import annotations

import configparser
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "bundle.py"))
ENTRIES = list(SCRIPT["locked"]((ROOT / "deploy" / "requirements.lock").read_text()))


def names(requirements: str) -> set[str]:
    found = re.findall(r"^ *([\w-]+)(?:\[.*?\])? *[>=;]", requirements, flags=re.MULTILINE)
    return {name.lower().replace("_", "-") for name in found}


def test_everything_that_the_program_needs_is_locked_with_hashes() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    wanted = names("\n".join([setup["options"]["install_requires"], extras["postgres"], extras["nacl"]]))
    assert wanted >= {"boto3", "pycurl", "psycopg", "pynacl"}
    assert wanted <= {entry.requirement.partition("==")[0] for entry in ENTRIES}
    assert all(entry.hashes for entry in ENTRIES)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(("python", "platformdirs"), [("3.10", 1), ("3.14", 1)])
def test_each_python_gets_one_version_of_each_package(python: str, platformdirs: int, machine: str) -> None:
    lines = SCRIPT["needed"](ENTRIES, python, machine).splitlines()
    required = [line.partition("==")[0] for line in lines]
    assert len(required) == len(set(required))
    assert required.count("platformdirs") == platformdirs
    assert not {"colorama", "tzdata"} & set(required), "those are for Windows"
    assert all(";" not in line and "--hash=sha256:" in line for line in lines)


def test_a_marker_decides_between_two_versions() -> None:
    lock = (
        'one==1 ; python_full_version < "3.11" \\\n    --hash=sha256:' + "a" * 64 + "\n"
        'one==2 ; python_full_version >= "3.11" \\\n    --hash=sha256:' + "b" * 64 + "\n    # via other\n"
    )
    entries = list(SCRIPT["locked"](lock))
    assert SCRIPT["needed"](entries, "3.10", "x86_64") == f"one==1 --hash=sha256:{'a' * 64}\n"
    assert SCRIPT["needed"](entries, "3.13", "x86_64") == f"one==2 --hash=sha256:{'b' * 64}\n"
