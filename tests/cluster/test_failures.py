from __future__ import annotations

import statistics

import pytest

from cluster.failures import Loss, backoff_s, cause_of, decide, is_loss, most_together, share_of_gpu
from cluster.work import Ending
from trainables.api import Cause, Outcome

FOREVER = 10_000


def attempts(ending: Ending, retries: int) -> int:
    """How often a trial is begun of which every attempt ends so."""
    losses = []
    while len(losses) < FOREVER:
        losses += [Loss(ending.cause, ending.suspects)] if is_loss(ending) else []
        if not decide(ending, "t", losses, retries).retry:
            break
    return max(1, len(losses))


@pytest.mark.parametrize("retries", [0, 1, 5])
@pytest.mark.parametrize("outcome", [o for o in Outcome if o not in (Outcome.LOST, Outcome.FAILED)])
def test_what_ended_by_itself_or_was_stopped_is_not_tried_again(outcome, retries):
    assert attempts(Ending(outcome), retries) == 1


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_each_cause_has_its_number_of_attempts(retries):
    for cause in (Cause.DIED, Cause.MEMORY, Cause.STORAGE, Cause.TIMEOUT, Cause.NONE):
        assert attempts(Ending(Outcome.LOST, cause=cause), retries) == retries + 1
    for cause in (Cause.MEMORY, Cause.STORAGE):
        assert attempts(Ending(Outcome.FAILED, cause=cause), retries) == retries + 1
    assert attempts(Ending(Outcome.FAILED, cause=Cause.ERROR), retries) == 1
    for cause in (Cause.PREEMPTED, Cause.NODE):  # not for ever either
        assert 50 < attempts(Ending(Outcome.LOST, cause=cause), retries) < FOREVER


def test_only_what_the_trial_alone_may_have_caused_counts():
    innocent = [Loss(Cause.PREEMPTED), Loss(Cause.NODE), Loss(Cause.DIED, suspects=8), Loss(Cause.MEMORY, suspects=2)]
    lost = Ending(Outcome.LOST, cause=Cause.DIED)
    assert decide(lost, "t", innocent * 5, retries=0).retry
    assert not decide(lost, "t", [*innocent, Loss(Cause.DIED)], retries=0).retry
    assert decide(lost, "t", [*innocent, Loss(Cause.DIED)], retries=1).retry


def test_who_takes_others_along_is_alone_after_some_losses():
    losses, seen = [], []
    while (most := most_together(losses)) != 1:
        losses.append(Loss(Cause.DIED, suspects=most or 64))
        seen.append(most)
    assert seen == [None, 32, 16, 8, 4, 2]
    assert most_together([Loss(Cause.NODE, suspects=64), Loss(Cause.PREEMPTED, suspects=64)]) is None
    assert most_together([Loss(Cause.MEMORY)]) == 1


@pytest.mark.parametrize(
    ("gpus", "shares"),
    [(0.25, [0.25, 0.5, 1.0, 1.0]), (0.4, [0.4, 0.8, 1.0, 1.0]), (1, [1, 1]), (2, [2, 2]), (0, [0, 0])],
)
def test_a_share_of_a_gpu_doubles_with_each_lack_of_memory(gpus, shares):
    assert [share_of_gpu(gpus, [Loss(Cause.MEMORY)] * n) for n in range(len(shares))] == shares
    others = [Loss(Cause.DIED), Loss(Cause.NODE), Loss(Cause.MEMORY, suspects=4)]
    assert share_of_gpu(gpus, others) == gpus


def test_lack_of_memory_is_no_failure_while_the_share_can_grow():
    lost = Ending(Outcome.FAILED, cause=Cause.MEMORY)
    retried = [decide(lost, "t", [Loss(Cause.MEMORY)] * n, retries=0, gpus=0.25).retry for n in (1, 2, 3)]
    assert retried == [True, True, False]
    assert not decide(lost, "t", [Loss(Cause.MEMORY), Loss(Cause.DIED)], retries=0, gpus=0.25).retry
    assert not decide(lost, "t", [Loss(Cause.MEMORY)], retries=0, gpus=1).retry


def test_waits_double_have_a_limit_and_are_the_same_every_time():
    waits = [backoff_s("a", losses) for losses in range(1, 40)]
    assert waits == [backoff_s("a", losses) for losses in range(1, 40)]
    assert all(0.5 * min(60, 2**n) <= wait < 1.5 * min(60, 2**n) for n, wait in enumerate(waits))
    of_many = [backoff_s(f"trial {n}", 1) for n in range(1000)]
    assert 0.95 < statistics.mean(of_many) < 1.05
    assert min(of_many) < 0.55
    assert max(of_many) > 1.45


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Worker unexpectedly exits. Common causes include: (1) the process was killed by the OOM killer", Cause.DIED),
        ("Worker exit type: NODE_OUT_OF_MEMORY Worker exit detail: Task was killed", Cause.MEMORY),
        ("Worker exits with an exit code 1. The process receives a SIGTERM.", Cause.PREEMPTED),
        ("its node has died.\n\tthe actor's node was terminated expectedly: received SIGTERM", Cause.PREEMPTED),
        ("its node has died.\n\tthe actor's node was terminated unexpectedly: health check failed", Cause.NODE),
        ("The actor is temporarily unavailable: RpcError: RPC error: Socket closed rpc_code: 14.", Cause.NODE),
        ("OSError: [Errno 28] No space left on device", Cause.STORAGE),
        ("OSError: [Errno 30] Read-only file system: 'x'", Cause.STORAGE),
        ("", Cause.DIED),
    ],
)
def test_what_ray_says_is_understood(text, cause):
    assert cause_of(text) == cause
