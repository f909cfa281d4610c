"""The tables from verdicts to actions, cell by cell: nothing but this test says that a cell is the right one."""

import pytest

from migrator.core.outcomes import Action, Verdict
from migrator.sync.action_tables import AGAINST_SUMS, BY_CONTENT, BY_SIZE, PROOF, PROOF_BY_SIZE, REFUSE, Rules


@pytest.mark.parametrize(
    ("rules", "source_only", "same_size", "differs"),
    [
        (BY_CONTENT, Action.COPY, Action.COMPARE, Action.DIFFER),
        (BY_SIZE, Action.COPY, Action.ACCEPT, Action.DIFFER),
        (PROOF_BY_SIZE, Action.MISS, Action.VOUCH, Action.DIFFER),
        (PROOF, Action.MISS, Action.COMPARE, Action.DIFFER),
        (AGAINST_SUMS, Action.MISS, Action.COMPARE, Action.COMPARE),
        (REFUSE, Action.REFUSE, Action.REFUSE, Action.REFUSE),
    ],
)
def test_what_is_done_with_a_raw_file_of_the_source(
    rules: Rules, source_only: Action, same_size: Action, differs: Action
) -> None:
    """And nothing else: raw files only at the target are never touched."""
    assert rules == {
        Verdict.SOURCE_ONLY: source_only,
        Verdict.SAME_SIZE: same_size,
        Verdict.DIFFERS: differs,
    }
