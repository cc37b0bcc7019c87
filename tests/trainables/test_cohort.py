"""What a cohort makes of its trials: the reports that each would make alone, whatever becomes of the others."""

from __future__ import annotations

import pytest
from cohort_lab import WALK, Lab, Log, outcomes, walk

from trainables import registry
from trainables.api import Outcome, Stage
from trainables.checkpoint import Pace, load


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def test_each_trial_reports_what_it_reports_alone(lab):
    configs = [{"lr": 1.0}, {"lr": 2.0, "steps": 6}, {"lr": 3.0, "steps": 2}]
    endings = lab.run(configs)
    assert outcomes(endings) == dict.fromkeys("abc", Outcome.DONE)
    assert [lab.logs[name].reports for name in "abc"] == [walk(1.0), walk(2.0, 6), walk(3.0, 2)]
    assert lab.stacked == [3, 3, 2, 2, 1, 1]
    assert all(log.closed == [Outcome.DONE] for log in lab.logs.values())


def test_a_round_has_the_reports_in_the_order_in_which_they_were_made(lab):
    cohort = lab.cohort(lab.orders([{"lr": 1.0}, {"lr": 2.0}]))
    assert next(cohort).reports == [("a", 1, {"loss": 1.0}), ("b", 1, {"loss": 2.0})]
    assert [member.order.trial for member in cohort.live] == ["a", "b"]


def test_pulses_are_handed_on(lab):
    pulses = []
    cohort = lab.cohort(lab.orders([{}, {}]))
    cohort.pulse = lambda: pulses.append(1)
    lab.finish(cohort)
    assert len(pulses) == 8


# --- places -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offers", [True, False])
@pytest.mark.parametrize("every", [1, 2])
def test_those_that_wait_take_the_places_of_those_that_end(lab, offers, every):
    """At once where states are on offer, else when the whole group has ended."""
    lengths = [2, 6, 4, 3, 5]
    endings = lab.run([{"steps": n, "lr": n, "offers": offers, "every": every} for n in lengths], size=2)
    assert outcomes(endings) == dict.fromkeys("abcde", Outcome.DONE)
    for name, n in zip("abcde", lengths, strict=True):
        assert lab.logs[name].reports == walk(n, n, every)
    assert sum(lab.stacked) == sum(lengths)
    assert max(lab.stacked) == 2
    longest = 6 + 4 + 5  # groups of two as they come
    assert len(lab.stacked) == longest if not offers else len(lab.stacked) < longest


def test_a_few_free_places_are_not_worth_a_new_group(lab):
    lab.run([{"steps": 2 if n == 0 else 8} for n in range(8)] + [{}], size=8)
    lab.run([], size=8)
    sizes = lab.stacked
    assert sizes[:8] == [8, 8, 7, 7, 7, 7, 7, 7]


def test_trials_can_be_added(lab):
    cohort = lab.cohort(lab.orders([{"lr": 1.0}]), size=2)
    next(cohort)
    cohort.add([lab.order("b", {"lr": 2.0})])
    lab.finish(cohort)
    assert [lab.logs[name].reports for name in "ab"] == [walk(1.0), walk(2.0)]
    assert lab.stacked == [1, 2, 2, 2, 1]


def test_trials_of_a_trainable_that_does_not_stack_run_one_after_the_other(lab):
    lab.write("""
        STARTED = []
        def run_one(config, trial):
            STARTED.append(trial.id)
            for step in range(1, 4):
                trial.checkpoint(lambda: {"step": step})
                yield {"loss": step * config["lr"]}
    """)
    endings = lab.run([{"lr": 1.0}, {"lr": 2.0}, {"lr": 3.0}])
    assert outcomes(endings) == dict.fromkeys("abc", Outcome.DONE)
    assert [log.reports for log in lab.logs.values()] == [[(s, s * lr) for s in (1, 2, 3)] for lr in (1.0, 2.0, 3.0)]
    assert registry.find("mine.py", lab.folder).module.STARTED == ["a", "b", "c"]


# --- endings ----------------------------------------------------------------------------------------------------------


def test_dropped_trials_leave_and_the_others_go_on(lab):
    cohort = lab.cohort(lab.orders([{"lr": 1.0}, {"lr": 2.0}, {"lr": 3.0}, {"lr": 4.0}]), size=3)
    next(cohort)
    cohort.drop({"a": Outcome.PRUNED, "d": Outcome.CANCELLED}, "stopped")
    assert [member.order.trial for member in cohort.live] == ["b", "c"]
    lab.finish(cohort)
    assert {name: log.closed for name, log in lab.logs.items()} == {
        "a": [Outcome.PRUNED],
        "b": [Outcome.DONE],
        "c": [Outcome.DONE],
    }  # d never began
    assert [log.reports for log in lab.logs.values()] == [walk(1.0)[:1], walk(2.0), walk(3.0)]
    assert lab.stacked == [3, 2, 2, 2]


def test_when_all_are_dropped_nothing_more_runs(lab):
    cohort = lab.cohort(lab.orders([{}, {}]))
    next(cohort)
    cohort.drop(dict.fromkeys("ab", Outcome.PRUNED))
    assert cohort.over
    assert list(cohort) == []
    assert lab.stacked == [2]


def test_one_that_diverges_ends_alone(lab):
    endings = lab.run([{"lr": 1.0}, {"at": {"2": "diverge"}}, {"at": {"3": "nan"}}])
    assert outcomes(endings) == {"a": Outcome.DONE, "b": Outcome.DIVERGED, "c": Outcome.DIVERGED}
    assert [endings[name].error for name in "bc"] == ["x is too large", "loss is nan at step 3"]
    assert [step for step, _ in lab.logs["b"].reports] == [1]
    assert [step for step, _ in lab.logs["c"].reports] == [1, 2, 3]  # what ends it is on record
    assert lab.logs["a"].reports == walk()
    assert lab.stacked == [3, 3, 2, 1]


def test_a_report_that_is_none_ends_its_trial_alone(lab):
    endings = lab.run([{}, {"at": {"2": "text"}}])
    assert outcomes(endings) == {"a": Outcome.DONE, "b": Outcome.FAILED}
    assert endings["b"].error == "mine.py: metric 'loss': got 'low' (str), expected a number"
    assert lab.logs["a"].reports == walk()


@pytest.mark.parametrize("offers", [True, False])
@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("place", [0, 2, 3])
def test_one_that_raises_ends_alone_and_the_others_lose_nothing(lab, offers, step, place):
    """None of its companions' reports is missing or there twice, though nobody can tell who raised."""
    configs = [{"lr": n + 1.0, "offers": offers} for n in range(4)]
    configs[place] |= {"at": {str(step): "raise"}}
    endings = lab.run(configs)
    bad = "abcd"[place]
    assert outcomes(endings) == dict.fromkeys("abcd", Outcome.DONE) | {bad: Outcome.FAILED}
    assert endings[bad].error.endswith(f"ValueError: no luck at {bad}\n")
    assert "in step" in endings[bad].error
    assert "cohort.py" not in endings[bad].error
    for n, name in enumerate("abcd"):
        assert lab.logs[name].reports == (walk(n + 1.0)[: step - 1] if name == bad else walk(n + 1.0))


def test_all_that_raise_end_each_with_its_own_trace(lab):
    endings = lab.run([{"at": {"2": "raise"}}] * 4)
    assert outcomes(endings) == dict.fromkeys("abcd", Outcome.FAILED)
    assert all(ending.error.endswith(f"no luck at {name}\n") for name, ending in endings.items())


def test_parts_of_a_group_that_has_raised_are_not_formed_anew_at_each_report(lab):
    lab.run([{"at": {"1": "raise"}}, *[{"steps": 6}] * 3])
    names = registry.find("mine.py", lab.folder).module.STACKED
    assert names.count(["c", "d"]) == 6
    assert len(names) == 3 + 6 + 6  # the whole, a and b, a; then b, then c and d


@pytest.mark.parametrize("offers", [True, False])
def test_a_group_that_is_too_large_for_the_memory_is_halved(lab, offers):
    configs = [{"lr": n + 1.0, "memory": 2, "offers": offers} for n in range(7)]
    cohort = lab.cohort(lab.orders(configs))
    assert outcomes(lab.finish(cohort)) == dict.fromkeys("abcdefg", Outcome.DONE)
    assert cohort.size <= 2
    for n, name in enumerate("abcdefg"):
        assert lab.logs[name].reports == walk(n + 1.0)


def test_a_trial_that_needs_more_memory_than_there_is_fails(lab):
    endings = lab.run([{"memory": 0}] * 2)
    assert outcomes(endings) == dict.fromkeys("ab", Outcome.FAILED)
    assert all("out of memory" in ending.error for ending in endings.values())


def test_an_interrupt_cancels_all_those_that_wait_too(lab):
    endings = lab.run([{}, {"at": {"2": "interrupt"}}, {}], size=2)
    assert outcomes(endings) == dict.fromkeys("abc", Outcome.CANCELLED)
    assert [len(log.reports) for log in lab.logs.values()] == [1, 1]


def test_an_error_of_a_sink_is_raised(lab):
    class Full(Log):
        def report(self, *_):
            raise OSError("no space left")

    lab.logs["b"] = Full()
    with pytest.raises(OSError, match="no space"):
        next(lab.cohort(lab.orders([{}, {}])))


def test_an_unknown_trainable_fails_each_trial(lab):
    lab.write("other = 1")
    endings = lab.run([{}, {}], size=2)
    assert all("no such function" in ending.error for ending in endings.values())
    assert outcomes(endings) == dict.fromkeys("ab", Outcome.FAILED)


def test_a_generator_that_ends_early_ends_its_trials(lab):
    lab.write("def run(configs, trials):\n  yield {0: {'loss': 1.0}, 1: {'other': 1.0}}")
    endings = lab.run([{}, {}])
    assert outcomes(endings) == {"a": Outcome.DONE, "b": Outcome.FAILED}
    assert endings["b"].error == "mine.py: never reported 'loss'; it reported other"


# --- trainables that do what they should not --------------------------------------------------------------------------


def test_reports_for_a_trial_that_has_ended_are_dropped(lab):
    """Some trainables would rather not take members out of their stack."""
    lab.write("""
        def run(configs, trials):
            for step in (1, 2, 3):
                yield {n: {"loss": step} for n, _ in enumerate(trials)}
    """)
    cohort = lab.cohort(lab.orders([{}, {}]))
    next(cohort)
    cohort.drop({"a": Outcome.PRUNED})
    lab.finish(cohort)
    assert [len(log.reports) for log in lab.logs.values()] == [1, 3]
    assert lab.logs["a"].closed == [Outcome.PRUNED]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("yield {5: {'loss': 1.0}}", "expected reports by the place of their trial, 0 to 0"),
        ("yield {-1: {'loss': 1.0}}", "expected reports by the place"),
        ("yield [{'loss': 1.0}]", "yielded [{'loss': 1.0}], expected reports by the place"),
        ("yield", "yielded None"),
        ("return {0: {'loss': 1.0}}", "returned dict, expected a generator"),
    ],
)
def test_what_is_no_reports_fails_in_one_line(lab, body, words):
    lab.write(f"def run(configs, trials):\n  {body}")
    endings = lab.run([{}, {}])
    assert outcomes(endings) == dict.fromkeys("ab", Outcome.FAILED)
    assert all(words in ending.error and "\n" not in ending.error for ending in endings.values())


def test_what_a_broken_run_has_left_does_not_reach_the_next(lab):
    """An offer, a picture and the word that a report is the last, of a report that was never yielded."""
    lab.write("""
        import numpy
        def run(configs, trials):
            for step in range(1, 4):
                for n, trial in enumerate(trials):
                    if step == 2:
                        trial.image("x", numpy.zeros((2, 2)))
                        trial.checkpoint(lambda: {"step": 2})
                        trial.finish()
                        if len(trials) > 1 and n:
                            raise ValueError("together")
                yield {n: {"loss": float(step)} for n, _ in enumerate(trials)}
    """)
    cohort = lab.cohort(lab.orders([{}, {}]))
    rounds = [next(cohort) for _ in range(3)]  # both, the break, and a alone at its first report again
    assert [len(found.reports) for found in rounds] == [2, 0, 0]
    cohort.close(Outcome.CANCELLED)
    assert load(lab.folder / "a") is None
    assert [log.images for log in lab.logs.values()] == [[], []]


# --- checkpoints ------------------------------------------------------------------------------------------------------


def paced(cohort, now):
    cohort._pace = Pace(clock=lambda: now[0])
    return cohort


def test_saving_has_one_pace_for_the_whole_group(lab):
    now = [0.0]
    cohort = paced(lab.cohort(lab.orders([{}, {}])), now)
    next(cohort)
    assert not cohort.about_to_save
    now[0] = 1.0
    assert cohort.about_to_save
    next(cohort)
    assert [load(lab.folder / name).step for name in "ab"] == [1, 1]
    now[0] = 1.5
    next(cohort)
    assert [load(lab.folder / name).step for name in "ab"] == [1, 1]


def test_an_offer_is_not_asked_for_after_the_trainable_has_gone_on(lab):
    """The state of one that did not report this time may be of any moment since."""
    now = [0.0]
    cohort = paced(lab.cohort(lab.orders([{"steps": 6}, {"every": 2, "steps": 6}])), now)
    next(cohort), next(cohort), next(cohort)
    now[0] = 10.0
    next(cohort)
    assert load(lab.folder / "a").step == 3
    assert load(lab.folder / "b") is None


@pytest.mark.parametrize("groups", [["abcd"], ["ab", "cd"], ["d", "bca"], ["dcba"]])
def test_cancelled_trials_go_on_in_other_cohorts(lab, groups):
    configs = {name: {"lr": n + 1.0, "steps": 5} for n, name in enumerate("abcd")}
    first = lab.cohort([lab.order(name, config) for name, config in configs.items()])
    next(first), next(first)
    first.close(Outcome.CANCELLED)
    for group in groups:
        lab.finish(lab.cohort([lab.order(name, configs[name], attempt=2) for name in group]))
    for n, name in enumerate("abcd"):
        assert lab.logs[name].reports == walk(n + 1.0, 5)
        assert not (lab.folder / name).exists()


def test_resumed_and_fresh_trials_share_a_cohort(lab):
    first = lab.cohort([lab.order("a", {"steps": 5})])
    next(first), next(first)
    first.close(Outcome.CANCELLED)
    lab.finish(lab.cohort([lab.order("b", {"lr": 2.0}), lab.order("a", {"steps": 5})]))
    assert lab.logs["a"].reports == walk(1.0, 5)
    assert lab.logs["b"].reports == walk(2.0)
    assert lab.stacked[2:] == [2, 2, 2, 1]


def test_a_state_that_cannot_be_saved_ends_its_trial_alone(lab):
    lab.write(WALK.replace("lambda: dict(state)", 'lambda: {"x": object()} if config.get("odd") else dict(state)'))
    now = [0.0]
    cohort = paced(lab.cohort(lab.orders([{}, {"odd": True}, {}])), now)
    next(cohort)
    now[0] = 1.0
    endings = lab.finish(cohort)
    assert outcomes(endings) == {"a": Outcome.DONE, "b": Outcome.FAILED, "c": Outcome.DONE}
    assert "state['x']: got a object" in endings["b"].error
    assert [log.reports for log in lab.logs.values()] == [walk(), walk()[:1], walk()]


# --- configs that change on the way -----------------------------------------------------------------------------------


def changing(lab, name, first, until, then, **settings):
    return lab.order(name, {"lr": then, **settings}, stages=(Stage({"lr": first, **settings}, until),))


def changed(first, until, then, steps=4):
    x, found = 0.0, []
    for step in range(1, steps + 1):
        x = 0.5 * x + (first if step <= until else then)
        found.append((step, pytest.approx(x)))
    return found


def test_stages_change_the_config_of_their_member_alone(lab):
    orders = [changing(lab, "a", 1.0, 2, 10.0), lab.order("b", {"lr": 2.0}), changing(lab, "c", 3.0, 3, 30.0)]
    assert outcomes(lab.finish(lab.cohort(orders))) == dict.fromkeys("abc", Outcome.DONE)
    assert lab.logs["a"].reports == changed(1.0, 2, 10.0)
    assert lab.logs["b"].reports == walk(2.0)
    assert lab.logs["c"].reports == changed(3.0, 3, 30.0)
    assert lab.stacked == [3] * 4


@pytest.mark.parametrize("rare", [{"every": 3, "steps": 6}, {"offers": False}])
def test_a_member_that_cannot_move_just_then_repeats_and_loses_nothing(lab, rare):
    """The config of another changes, while this one has no state on offer."""
    other = lab.order("b", {"lr": 2.0, **rare})
    lab.finish(lab.cohort([changing(lab, "a", 1.0, 2, 10.0), other]))
    assert lab.logs["a"].reports == changed(1.0, 2, 10.0)
    assert lab.logs["b"].reports == walk(2.0, rare.get("steps", 4), rare.get("every", 1))


def test_a_change_without_a_state_fails_its_trial_alone(lab):
    orders = [changing(lab, "a", 1.0, 2, 10.0, offers=False), lab.order("b", {"lr": 2.0})]
    endings = lab.finish(lab.cohort(orders))
    assert outcomes(endings) == {"a": Outcome.FAILED, "b": Outcome.DONE}
    assert endings["a"].error == "mine.py: no checkpoint at step 2, where another config takes over"
    assert lab.logs["b"].reports == walk(2.0)


def test_a_stage_is_run_again_after_another_has_raised(lab):
    orders = [changing(lab, "a", 1.0, 2, 10.0), lab.order("b", {"at": {"3": "raise"}}), lab.order("c", {"lr": 3.0})]
    endings = lab.finish(lab.cohort(orders))
    assert outcomes(endings) == {"a": Outcome.DONE, "b": Outcome.FAILED, "c": Outcome.DONE}
    assert lab.logs["a"].reports == changed(1.0, 2, 10.0)
    assert lab.logs["c"].reports == walk(3.0)


def test_other_workers_follow_without_reporting(lab):
    cohort = lab.cohort(lab.orders([{"at": {"2": "nan"}}]), rank=1, world_size=2)
    assert outcomes(lab.finish(cohort)) == {"a": Outcome.DONE}
    assert lab.logs["a"].reports == lab.logs["a"].closed == []
