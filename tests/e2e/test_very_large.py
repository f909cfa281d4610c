"""Files that have more parts than memory has room for come to their end, one as well as many at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import command, corpus, oracle
from tests.bench.native import Native
from tests.bench.servers import ACCESS_KEY, SECRET_KEY, null_sink
from tests.e2e import ends
from tests.e2e.ends import MIGRATE


@pytest.mark.parametrize(
    ("count", "size"),
    [
        pytest.param(1, 320 * corpus.MIB, id="one"),
        pytest.param(12, 24 * corpus.MIB, id="twelve"),
        pytest.param(1, 1600 * corpus.MIB, id="one of 200 parts", marks=pytest.mark.slow),
    ],
)
def test_more_parts_than_room(count: int, size: int, data: Path, programs: Native) -> None:
    corpus.make_store(data, {"alpha": count}, sizes=4096)
    for path in oracle.disk_paths(data).values():
        with open(path, "r+b") as file:
            file.truncate(size)
    with null_sink(programs) as sink:
        env = {
            "AWS_ENDPOINT_URL": sink.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        words = ("--from", data, "--to", "s3://nothing/{organization}", "--jobs", "16")
        done = command.run(*MIGRATE, *words, env=env, timeout=120).expect(0)
    assert ends.files(done.json()) == {"discovered": count, "copied": count}
