"""What runs of one pair show: the first all that matters, the next only what is new."""

from __future__ import annotations

from pathlib import Path

from tests import command
from tests.conftest import FreshNames
from tests.corpus import make_store
from tests.servers import S3Server


def test_the_second_run_of_a_pair_counts_what_the_first_showed(
    weed: S3Server, fresh_names: FreshNames, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    make_store(data, {"acme": 3})
    (data / "lost+found").mkdir(mode=0o700)
    (data / "notes.txt").write_text("")
    env = {
        **weed.env(),
        "AWS_CONFIG_FILE": "/dev/null",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HOME": str(tmp_path),
    }
    words = ("migrate", "--from", f"{data}/", "--to", f"s3://{fresh_names.bucket}/{{organization}}", "--yes")
    first, second = (command.run(*words, env=env).expect(0).stdout for _ in range(2))
    assert "[bytes-raws]" in first
    assert "[bytes-raws]" not in second
    assert "known from earlier: `bytes-migrator doctor` shows all" in second
    for shown in (first, second):
        assert "1 stray" in shown
        assert "  1: a file beside the organizations" in shown
        assert "notes.txt" not in shown
        assert not any(name in shown for name in ("lost+found", "profile-only", "source-in-use", "server-abilities"))
