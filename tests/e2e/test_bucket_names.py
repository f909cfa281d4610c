"""Names that break S3's rules, on a server without the rules: Bytes works there, and so does a migration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import command, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.servers import S3Server

pytestmark = pytest.mark.one_process

UNFORCED = {"BYTES_MIGRATOR_FORCE": None}


def test_a_server_that_takes_the_names_is_believed_once_they_were_tried(
    moto: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    naming = oracle.PerOrganization(fresh_names.prefix + "Up_")
    ends.make_varied_store(data, {"alpha": 4, "b_c": 3, "gemeente-éé": 2})
    env = {**moto.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data), **UNFORCED}
    before = command.run("plan", "--json", "--to", "s3", env=env).expect(1).json()
    assert ends.files(before) == {"discovered": 9, "refused": 9}
    assert "3 of 3 bucket names" in ends.findings(before)["bucket-names"]["seen"]
    tried = command.run("doctor", "--json", "--to", "s3", "--probe", "--yes", env=env).expect(1).json()
    planned = command.run("plan", "--json", "--to", "s3", env=env).expect(1).json()
    for document in (tried, planned):
        finding = ends.findings(document)["bucket-names"]
        assert "1 of 3 bucket names are invalid" in finding["seen"]
        assert "2 more break S3's rules, and this server has them" in finding["seen"]
    assert ends.files(planned) == {"discovered": 9, "missing": 7, "refused": 2}
    words = ("--to", "s3", "--organization", "alpha", "--organization", "b_c")
    moved = command.run(*ends.MIGRATE, *words, env=env).expect(0).json()
    assert ends.files(moved) == {"discovered": 7, "copied": 7}
    assert ends.findings(moved)["bucket-names"]["status"] == "warning"
    there = oracle.s3_state(moto.client(), naming)
    oracle.assert_same_contents({n: s for n, s in oracle.disk_state(data).items() if n[0] != "gemeente-éé"}, there)
