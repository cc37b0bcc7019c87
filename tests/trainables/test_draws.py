"""Laws of the random numbers that a trial draws by key and counter."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.func import vmap

from trainables.training import draws
from trainables.training.draws import Draw, key_of, normal, permutation, uniform

MANY = 200_000
INT64 = st.integers(-(2**63), 2**63 - 1)
LEAST = 1e-4  # p-value; everything below is fixed by its key, so a test that passes once passes always


def at(counter):
    return torch.tensor(counter)


def correlation(first, second):
    return torch.corrcoef(torch.stack([first, second]))[0, 1].item()


def is_even(values, num_bins=256):
    """Whether a chi-square test takes numbers from [0, 1) for uniform ones."""
    return stats.chisquare(torch.histc(values, num_bins, 0, 1).numpy()).pvalue > LEAST


@pytest.mark.parametrize(("seed", "counter"), [(0, 0), (0, 1), (1, 0), (2, 10**6), (3, 2**40)])
def test_uniform_numbers_are_uniform(seed, counter):
    values = uniform(key_of(seed, "a"), at(counter), (MANY,)).double()
    assert values.min() >= 0
    assert values.max() < 1
    assert values.mean().item() == pytest.approx(0.5, abs=4 * (1 / 12 / MANY) ** 0.5)
    assert values.var().item() == pytest.approx(1 / 12, abs=4 * (1 / 180 / MANY) ** 0.5)
    assert is_even(values)
    assert is_even(values * 2**12 % 1)  # the low bits


@pytest.mark.parametrize("lag", [1, 2, 3, 64, 1000])
def test_neighbours_in_a_draw_have_nothing_in_common(lag):
    values = uniform(key_of(0, "a"), at(7), (MANY,))
    assert abs(correlation(values[:-lag], values[lag:])) < 4 / MANY**0.5
    assert is_even((values[:-lag] + values[lag:]) % 1)


def streams():
    """Pairs of streams that differ in a counter, a seed, a name, or a number that is folded in."""
    key, here = key_of(0, "dropout/0"), at(5)
    yield from ((key, here, key, at(counter)) for counter in (4, 6, 5 + 2**32, 5 + 2**40))
    others = [key_of(1, "dropout/0"), key_of(0, "dropout/1"), key + 1, key + 2**32, draws.fold(key, 1)]
    yield from ((key, here, other, here) for other in others)
    yield (draws.fold(key, 1), here, draws.fold(key, 2), here)


@pytest.mark.parametrize(("key", "counter", "other_key", "other_counter"), [*streams()])
def test_streams_have_nothing_in_common(key, counter, other_key, other_counter):
    first, second = uniform(key, counter, (MANY,)), uniform(other_key, other_counter, (MANY,))
    for lag in (0, 1, 2):
        assert abs(correlation(first[lag:], second[: MANY - lag])) < 4 / MANY**0.5
    assert is_even((first + second) % 1)
    assert len(set(first[:1000].tolist()) & set(second[:1000].tolist())) < 5


def test_first_numbers_over_counters_and_over_keys_are_uniform():
    """What one element sees from step to step, and what many seeds see in the same step."""
    counters = vmap(lambda c: uniform(key_of(0, "a"), c, (1,)))(torch.arange(MANY)).flatten()
    keys = torch.stack([key_of(seed, "a") for seed in range(20_000)])
    seeds = vmap(lambda k: uniform(k, at(0), (1,)))(keys).flatten()
    for values in (counters, seeds):
        assert is_even(values, 64)
        assert abs(correlation(values[1:], values[:-1])) < 4 / len(values) ** 0.5


def test_normal_numbers_have_normal_moments_and_tails():
    values = normal(key_of(0, "a"), at(0), (MANY,)).double()
    assert values.isfinite().all()
    assert stats.kstest(values.numpy(), "norm").pvalue > LEAST
    assert values.mean().item() == pytest.approx(0, abs=4 / MANY**0.5)
    assert values.var().item() == pytest.approx(1, abs=4 * (2 / MANY) ** 0.5)
    assert (values**4).mean().item() == pytest.approx(3, abs=4 * (96 / MANY) ** 0.5)
    assert abs(correlation(values[1:], values[:-1])) < 4 / MANY**0.5


@given(seed=st.integers(0, 10**6), counter=st.integers(0, 10**6), count=st.integers(1, 300))
@settings(deadline=None, max_examples=50)
def test_a_permutation_holds_each_number_once(seed, counter, count):
    assert sorted(permutation(key_of(seed, "order"), at(counter), count).tolist()) == list(range(count))


def test_all_orders_are_equally_likely():
    drawn = vmap(lambda epoch: permutation(key_of(0, "order"), epoch, 3))(torch.arange(12_000))
    codes = (drawn @ torch.tensor([9, 3, 1])).bincount().tolist()
    counts = [codes[9 * a + 3 * b + c] for a, b, c in itertools.permutations(range(3))]
    assert sum(counts) == 12_000
    assert stats.chisquare(counts).pvalue > LEAST


def test_permutations_of_one_epoch_and_the_next_have_nothing_in_common():
    first, second = (permutation(key_of(0, "order"), at(epoch), 10_000) for epoch in (0, 1))
    assert abs(correlation(first.double(), second.double())) < 0.04
    assert (first == second).sum() < 10


@given(keys=st.lists(INT64, min_size=2, max_size=5), counter=st.integers(0, 2**40), rows=st.integers(1, 9))
@settings(deadline=None, max_examples=25)
def test_a_member_of_a_cohort_draws_the_bits_that_it_draws_alone(keys, counter, rows):
    stacked, counters = torch.tensor(keys), counter + torch.arange(len(keys))
    drawn = {
        "uniform": lambda k, c: uniform(k, c, (rows, 3)),
        "normal": lambda k, c: normal(k, c, (rows, 3)),
        "permutation": lambda k, c: permutation(k, c, 10 * rows),
        "fold": draws.fold,
    }
    for name, function in drawn.items():
        together = vmap(function)(stacked, counters)
        alone = [function(*pair) for pair in zip(stacked, counters, strict=True)]
        assert torch.equal(together, torch.stack(alone)), name


@given(rows=st.integers(0, 7), first=st.integers(0, 7))
@settings(deadline=None)
def test_workers_draw_the_rows_of_the_whole_batch(rows, first):
    """The draws of a worker from its first row on are the tail of the whole batch's."""
    key, like = key_of(0, "a"), torch.empty(first + rows, 3, 2)
    for kind in ("uniform", "normal"):
        whole = getattr(Draw(key, at(3)), kind)(like)
        part = getattr(Draw(key, at(3), first_row=first), kind)(like[first:])
        assert torch.equal(part, whole[first:]), kind


def test_each_call_of_a_draw_is_a_stream_of_its_own():
    draw, like = Draw(key_of(0, "a"), at(0)), torch.empty(1000)
    drawn = [draw.uniform(like), draw.uniform(like), draw.normal(like), draw.permutation(1000).float()]
    for one, other in itertools.combinations(drawn, 2):
        assert abs(correlation(one, other)) < 0.15
    again = Draw(key_of(0, "a"), at(0))
    assert torch.equal(again.uniform(like), drawn[0])
    assert torch.equal(again.uniform(like), drawn[1])


def test_numbers_are_those_of_every_machine():
    """Written down once; a change of them changes what every trial draws."""
    assert uniform(key_of(0, "a"), at(0), (4,)).mul(2**24).long().tolist() == [2946010, 14615977, 15009465, 556356]
    assert permutation(key_of(0, "order"), at(0), 8).tolist() == [3, 6, 0, 1, 2, 4, 7, 5]
