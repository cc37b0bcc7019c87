from __future__ import annotations

import pytest

from cluster.failures import should_retry
from cluster.work import Ending
from trainables.api import Outcome


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome != Outcome.LOST])
@pytest.mark.parametrize("attempts", [1, 2, 9])
def test_only_lost_trials_run_again(outcome, attempts):
    assert not should_retry(Ending(outcome), attempts, retries=5)


@pytest.mark.parametrize(("retries", "attempts_in_all"), [(0, 1), (1, 2), (2, 3)])
def test_retries_come_after_the_first_attempt(retries, attempts_in_all):
    made = 1
    while should_retry(Ending(Outcome.LOST), made, retries):
        made += 1
    assert made == attempts_in_all
