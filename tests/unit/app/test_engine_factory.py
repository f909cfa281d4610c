"""What travels to workers of other machines, and what stays."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from migrator.app.dask_setup import make_work, refuse_two_identities
from migrator.app.dask_worker_check import MountCheck, check_by_recipe
from migrator.app.options import EngineName, Options, engine_and_scheduler
from migrator.app.worker_config import WorkerConfig
from migrator.config.locations import DiskLocation, Location, S3Access, S3Location, Secret
from migrator.config.rate_limits import Limits
from migrator.core.entities import RawFile, RawId
from migrator.core.errors import CannotStart, SettingsError, Unavailable
from migrator.core.naming import SingleBucket
from migrator.engines.worker_admission import WorkerRegistry
from migrator.stores.disk.target import _claim
from tests import corpus

SECRET = "NeverToBePrintedOrSent"
CODES = st.characters(categories=("L", "N"), include_characters="-_")
"""What codes of organizations are made of; a pattern with ``\\w`` has hypothesis look at all of Unicode for seconds."""
DISK = DiskLocation(root=Path("/data"), folder_mode=0o740, file_mode=0o640)


def s3(key: str | None, secret: str | None = SECRET, token: str | None = None) -> S3Location:
    access = S3Access(
        access_key_id=key,
        secret_access_key=Secret(secret) if secret else None,
        session_token=Secret(token) if token else None,
        profile="a-profile",
    )
    return S3Location(naming=SingleBucket("bucket"), access=access)


def recipe(source: Location, target: Location) -> WorkerConfig:
    return WorkerConfig(source=source, target=target, refused=frozenset(), run_id="20260101-000000-abcdef")


ends = st.one_of(
    st.just(DISK), st.builds(s3, st.sampled_from(["AKone"]), st.just(SECRET), st.none() | st.just(SECRET + "Token"))
)


@given(ends, ends)
def test_no_key_travels_and_all_else_does(source: Location, target: Location) -> None:
    whole = recipe(source, target)
    travels = whole.travelling()
    sent = pickle.dumps(travels)
    assert SECRET.encode() not in sent
    assert b"AKone" not in sent
    assert pickle.loads(sent) == travels
    for before, after in ((source, travels.source), (target, travels.target)):
        if isinstance(before, S3Location) and isinstance(after, S3Location):
            assert after.naming == before.naming
            assert after.access.profile == "a-profile"


def test_what_has_a_key_cannot_travel_at_all() -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(recipe(DISK, s3("AKone")))


def test_two_pairs_of_keys_are_refused() -> None:
    refuse_two_identities(recipe(s3("AKone"), s3("AKone")))
    refuse_two_identities(recipe(DISK, s3("AKone")))
    for other in (s3("AKtwo"), s3("AKone", SECRET + "2"), s3(None, None)):
        with pytest.raises(SettingsError) as refused:
            refuse_two_identities(recipe(s3("AKone"), other))
        assert refused.value.name == "two-identities"
        assert SECRET not in str(refused.value)


def test_workers_share_limits_and_no_temporary_name() -> None:
    limited = replace(recipe(DISK, DISK), options=Options(limits=Limits(requests=100)))
    made = [make_work(limited, 4).args[0] for _ in range(2)]  # type: ignore[attr-defined]
    assert [each.options.limits.requests for each in made] == [25, 25]
    marks = {each.run_id.rpartition("-")[2] for each in made}
    assert len(marks) == 2


def test_a_worker_knows_the_data_folder_by_its_raw_files(tmp_path: Path) -> None:
    store = corpus.make_store(tmp_path / "data", {"alpha": 3})
    found = next(path for path in store.root.rglob("*") if path.is_file())
    location = replace(DISK, root=store.root)
    raw_file = RawFile("alpha", RawId(found.name))
    target = tmp_path / "out"
    target.mkdir()
    beacon = target / "beacon"
    beacon.touch()
    here = recipe(location, replace(DISK, root=target))
    size = found.stat().st_size
    check_by_recipe(here, MountCheck(at_source=((raw_file, size),), beacons=(beacon,)))
    for signs, name in (
        (MountCheck(at_source=((raw_file, size + 1),)), "raw-files-not-seen"),
        (MountCheck(at_source=((RawFile("beta", raw_file.raw_id), 1),)), "raw-files-not-seen"),
        (MountCheck(at_target=((raw_file, size),)), "raw-files-not-seen"),
        (MountCheck(beacons=(target / "another",)), "target-not-seen"),
    ):
        with pytest.raises(CannotStart) as refused:
            check_by_recipe(here, signs)
        assert refused.value.name == name


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:8786", "tcp://localhost:1", "tcp://[::1]:8786", "tls://scheduler.example.org:8786"]
)
def test_a_scheduler_means_dask(address: str) -> None:
    assert engine_and_scheduler(None, address) == (EngineName.DASK, address)
    assert engine_and_scheduler("dask", address) == (EngineName.DASK, address)


@given(st.lists(st.text(CODES, min_size=1, max_size=32), unique=True, min_size=2, max_size=2))
@example(["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"])
@example(["gemeente-12", "gemeente-13"])
@example(["-a", "-b"])
def test_the_dashboard_tells_organizations_apart(organizations: list[str]) -> None:
    from dask.utils import key_split

    from migrator.engines.dask.engine import shown_as

    groups = {key_split((shown_as(organization), "topic", 1, 1)) for organization in organizations}
    assert len(groups) == 2


def test_who_is_silent_while_others_are_heard_is_given_up_and_a_scheduler_that_stalls_costs_nobody() -> None:
    places = WorkerRegistry()
    assert places.silent({}, 10) == []
    assert places.silent({"a": 100.0, "b": 109.0}, 10) == []
    assert places.silent({"a": 100.0, "b": 110.0}, 10) == ["a"]
    assert places.silent({"a": 100.0, "b": 100.5}, 10) == []


def test_nobody_who_does_not_ask_for_dask_waits_for_it() -> None:
    code = "import sys, migrator.cli.main, migrator.app.migrating; print({'dask', 'distributed'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_two_attempts_never_write_to_one_partial_file(tmp_path: Path) -> None:
    with open(tmp_path / "partial", "w") as first, open(tmp_path / "partial", "r+") as second:
        _claim(first.fileno(), "here")
        with pytest.raises(Unavailable) as refused:
            _claim(second.fileno(), "here")
        assert refused.value.name == "partial-busy"
        first.close()
        _claim(second.fileno(), "here")
