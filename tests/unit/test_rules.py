"""The tables from verdicts to actions."""

import pytest

from migrator.model import Action, Verdict
from migrator.rules import BY_CONTENT, BY_SIZE, REFUSE, Rules


@pytest.mark.parametrize(
    ("rules", "verdict", "action"),
    [
        (BY_CONTENT, Verdict.SOURCE_ONLY, Action.COPY),
        (BY_CONTENT, Verdict.SAME_SIZE, Action.COMPARE),
        (BY_CONTENT, Verdict.DIFFERS, Action.DIFFER),
        (BY_SIZE, Verdict.SOURCE_ONLY, Action.COPY),
        (BY_SIZE, Verdict.SAME_SIZE, Action.ACCEPT),
        (BY_SIZE, Verdict.DIFFERS, Action.DIFFER),
        (REFUSE, Verdict.SOURCE_ONLY, Action.REFUSE),
        (REFUSE, Verdict.SAME_SIZE, Action.REFUSE),
        (REFUSE, Verdict.DIFFERS, Action.REFUSE),
    ],
)
def test_what_is_done_with_a_raw_file_of_the_source(rules: Rules, verdict: Verdict, action: Action) -> None:
    assert rules[verdict] is action


@pytest.mark.parametrize("rules", [BY_CONTENT, BY_SIZE, REFUSE])
def test_raw_files_only_at_the_target_are_never_touched(rules: Rules) -> None:
    assert set(rules) == set(Verdict) - {Verdict.TARGET_ONLY}
