"""Errors: words for operators, exit statuses, and the tree in the docstring."""

import inspect
import pickle
import re

import pytest

from migrator.core import errors
from migrator.core.errors import MigratorError

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, MigratorError)]
STATUSES = {"SettingsError": 2, "LedgerBusy": 4}
TEMPORARY = {"SourceChanged", "NotTheSame", "Unavailable", "OutOfPatience"}


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_cross_from_worker_processes(kind: type[MigratorError]) -> None:
    error = kind("a-name", "What.", why="Why.", cure="Cure.")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (copy.name, copy.what, copy.why, copy.cure) == ("a-name", "What.", "Why.", "Cure.")
    assert str(copy) == "What. Why. Cure."


@pytest.mark.parametrize("kind", CLASSES)
def test_exit_status_and_whether_to_try_again(kind: type[MigratorError]) -> None:
    assert kind.exit_status == STATUSES.get(kind.__name__, 3)
    assert kind.temporary is (kind.__name__ in TEMPORARY)


def test_words_that_are_missing_leave_no_gap() -> None:
    assert str(MigratorError("a-name", "What.")) == "What."
    assert str(MigratorError("a-name", "What.", cure="Cure.")) == "What. Cure."


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Each class once, below its base, with its exit status where the tree gives one."""
    assert errors.__doc__ is not None
    drawn: dict[str, tuple[str | None, int | None]] = {}
    above: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        found = re.match(r"(\s*[│ ]*(?:[├└]── )?)([A-Z]\w+)(?:\s+\((\d)\))?(?:\s{2,}|$)", line)
        if not found or found[2] not in vars(errors):
            continue
        depth = len(found[1])
        above = [one for one in above if one[0] < depth]
        drawn[found[2]] = (above[-1][1] if above else None, int(found[3]) if found[3] else None)
        above.append((depth, found[2]))
    assert set(drawn) == {kind.__name__ for kind in CLASSES}
    for kind in CLASSES:
        base, status = drawn[kind.__name__]
        assert base == (None if kind is MigratorError else kind.__bases__[0].__name__)
        assert status in (None, kind.exit_status)
