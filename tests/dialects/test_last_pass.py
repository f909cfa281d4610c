"""The last pass, after the word that Bytes is stopped: what it brings, and what it asks the server for."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from migrator.app.first_checks import prepare_to_migrate
from migrator.app.stopping import Stopping
from migrator.app.watch_end import Until
from migrator.app.watching import watch
from migrator.core.errors import MigratorError, MustStop
from migrator.doctor.bytes_user import user_named
from migrator.reports.text.watch import Watched
from migrator.sync.folder_change_detector import Lag
from migrator.sync.messages import ProgressEvent
from tests import corpus
from tests.dialects.rows import answers
from tests.dialects.test_catching_up import AT_BOTH, BUCKET, Ends, ends

BEFORE = pytest.mark.parametrize("lists_before", [False, True], ids=["whole-at-the-end", "listed-before"])


class Silent:
    """Shows nothing."""

    def on_event(self, event: ProgressEvent) -> None:
        pass

    def tick(self) -> None:
        pass

    def now(self, what: str, lag: Lag) -> None:
        pass

    def away(self, error: MigratorError) -> None:
        pass


def watched(both: Ends, at_the_stop: Callable[[], object], *, lists_before: bool) -> Watched:
    """Follow until the word comes, and do `at_the_stop` when it is asked for."""

    def has_word() -> bool:
        at_the_stop()
        return True

    stopping = Stopping()
    prepared = prepare_to_migrate(both.locations, both.options, stopping)
    until = Until(stopped=True, lists_before=lists_before)
    return watch(prepared, both.options, until, Silent(), has_word, stopping)


@BEFORE
def test_what_comes_in_as_bytes_stops_is_brought_and_counted_once(tmp_path: Path, *, lists_before: bool) -> None:
    with ends(tmp_path) as both:
        keys: list[str] = []
        ended = watched(both, lambda: keys.extend(both.save() for _ in range(3)), lists_before=lists_before)
        assert ended.exit_status == 0
        assert (
            {f"{one.organization}/{one.raw_id}" for one in ended.newest}
            == set(keys)
            <= both.memory.buckets[BUCKET].keys()
        )
        assert ended.proven.files == 3
        assert ended.report.overall.discovered.files == AT_BOTH + 3


@BEFORE
def test_an_organization_that_comes_with_the_stop_is_brought(tmp_path: Path, *, lists_before: bool) -> None:
    with ends(tmp_path) as both:
        came: list[str] = []
        ended = watched(
            both, lambda: came.append(corpus.add_raw_file(both.data, "zeta").name), lists_before=lists_before
        )
        assert f"zeta/{came[0]}" in both.memory.buckets[BUCKET]
        assert ended.exit_status == 0
        assert len(came) == 1, "Bytes is stopped once"


def test_listed_before_the_stop_nothing_is_listed_after_it(tmp_path: Path) -> None:
    """What is done while Bytes is down grows with what came in, and not with the store."""
    with ends(tmp_path) as both:

        def stop() -> None:
            both.save()
            both.memory.asked.clear()

        assert watched(both, stop, lists_before=True).exit_status == 0
        asked = both.memory.operations
        assert asked["ListObjectsV2"] <= 1, "one raw file, to see that the server is there"
        assert asked["PutObject"] == 1


@BEFORE
def test_what_fails_once_is_tried_again_before_it_counts(tmp_path: Path, *, lists_before: bool) -> None:
    failing = answers(
        "PutObject", 400, "InvalidRequest", times=3, when=lambda request: request.key.startswith("alpha/")
    )
    with ends(tmp_path, failing) as both:
        assert watched(both, both.save, lists_before=lists_before).exit_status == 0


def test_a_raw_file_that_grew_since_it_was_copied_is_brought_anew_and_counted_once(tmp_path: Path) -> None:
    with ends(tmp_path) as both:
        both.options = replace(both.options, settle=60.0)
        key = both.save(b"the beginning")
        path = next(both.data.glob(f"*/*/{key.rpartition('/')[2]}"))

        def grow() -> None:
            with path.open("ab") as file:
                file.write(b", and the rest")

        ended = watched(both, grow, lists_before=True)
        assert ended.exit_status == 0
        assert both.memory.buckets[BUCKET][key].content == b"the beginning, and the rest"
        assert ended.report.overall.discovered.files == AT_BOTH + 1


def test_a_server_that_is_gone_by_then_is_noticed_though_nothing_is_new(tmp_path: Path) -> None:
    gone: list[bool] = []
    away = answers("*", 503, "SlowDown", when=lambda request: bool(gone))
    with ends(tmp_path, away) as both:
        both.options = replace(both.options, patience=0.5)

        class Ends(Silent):
            def away(self, error: MigratorError) -> None:
                raise MustStop("away", error.what)

        stopping = Stopping()
        prepared = prepare_to_migrate(both.locations, both.options, stopping)

        def has_word() -> bool:
            gone.append(True)
            return True

        with pytest.raises(MustStop) as raised:
            watch(prepared, both.options, Until(stopped=True, lists_before=True), Ends(), has_word, stopping)
        assert raised.value.name == "away"


def test_from_a_bucket_only_what_came_with_the_stop_is_looked_at(tmp_path: Path) -> None:
    """The bucket is listed once more; of the disk only what is new: what was compared before the stop is known by its name."""
    with ends(tmp_path) as both:
        both.options = replace(both.options, owner=user_named("1000:1000"))
        back = replace(both.locations, source=both.locations.target, target=both.locations.source, bytes_reads=None)
        keys = [f"alpha/{uuid.UUID(int=number << 96, version=4)}" for number in (1, 0x7777, 0xFFFF_FFFF)]

        def stop() -> bool:
            for key in keys:
                both.memory.put(BUCKET, key, b"late")
            both.memory.asked.clear()
            return True

        stopping = Stopping()
        prepared = prepare_to_migrate(back, both.options, stopping)
        ended = watch(prepared, both.options, Until(stopped=True, lists_before=True, reads=2), Silent(), stop, stopping)
        assert ended.exit_status == 0
        assert {f"{one.organization}/{one.raw_id}" for one in ended.newest} == set(keys)
        for key in keys:
            raw_id = key.rpartition("/")[2]
            assert (both.data / "alpha" / raw_id[:3] / raw_id).read_bytes() == b"late"
        assert ended.report.overall.discovered.files == AT_BOTH + 3
        assert ended.proven.files == 2, "a sample is read while Bytes is stopped"
        assert both.memory.operations["GetObject"] <= 2 * len(keys)
        assert both.memory.operations["ListObjectsV2"] <= 6
