"""Through nginx that reads through, every raw file can be read at every moment of its copying."""

from __future__ import annotations

import json

import pytest

from tests import nginx
from tests.bench import reading_through


@pytest.mark.slow
def test_no_raw_file_is_unreadable_or_wrong_while_it_is_copied(capsys: pytest.CaptureFixture[str]) -> None:
    nginx.program()
    assert reading_through.main(["--files", "300"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts["from disk"] > 0
    assert counts.keys() == {"files", "migrate", "from disk", "from S3"}
