"""What docs/claims.md says of intervals, tests and verdicts. ``pytest -m slow -s`` prints its tables."""

import numpy as np
import pytest
import simulated_looks
import simulated_runs
import simulation

MODERATE = ("normal", "skewed")


def two_errors(number):
    """Of a rate of 5 % that is simulated so often."""
    return 2 * np.sqrt(0.05 * 0.95 / number)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_tables_of_the_docs():
    covers, rejects = list(simulation.coverage()), list(simulation.size())
    print(simulation.table("covers, %", covers), simulation.table("rejects, %", rejects), sep="\n\n")  # noqa: T201
    for row in filter(lambda row: row.used, covers):
        for (noise, n), rate in row.rates.items():
            least, most = (0.93, 0.97) if noise in MODERATE else (0.91, 0.98)
            if row.name == "best of several":  # Bonferroni is cautious by nature
                most = 1.0
            assert least <= rate <= most, (row.name, noise, n, rate)
    for row in rejects:
        for (noise, n), rate in row.rates.items():
            most = 0.06 if noise in MODERATE else 0.08
            assert rate <= most + (0 if row.used else two_errors(1000)), (row.name, noise, n, rate)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_verdicts_on_the_border_are_wrong_at_most_6_percent_of_the_time():
    number = 2000
    rows = list(simulated_runs.wrong_verdicts(number))
    print(simulation.table("wrong verdicts, %", rows))  # noqa: T201
    for row in rows:
        for (noise, n), rate in row.rates.items():
            most = 0.06 if noise in MODERATE else 0.08
            assert rate <= most + two_errors(number), (row.name, noise, n, rate)
            if row.name.startswith(("peak", "front", "correlation")):
                assert rate <= most, (row.name, noise, n, rate)


@pytest.mark.slow
@pytest.mark.parametrize("noise", simulation.NOISES)
def test_any_of_several_claims_is_wrong_at_most_6_percent_of_the_time(noise):
    assert simulated_runs.families(noise, seeds=5, number=1000) <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize("noise", simulation.NOISES)
def test_sequential_confirmation_is_cheap_and_honest(noise):
    found = simulated_looks.sequentially(simulated_looks.tuned(4000), noise)
    assert found.agreement >= 0.95
    assert found.trials <= 0.60
    assert simulated_looks.sequentially(np.zeros(4000), noise).false <= 0.06


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("noise", simulation.NOISES)
def test_so_it_is_on_average_where_it_was_not_tuned(noise):
    """Mixtures that had no say in the design. Where most effects are small it keeps fewer verdicts and saves less."""
    found = {name: simulated_looks.on_mixture(name, noise) for name in simulated_looks.MIXTURES}
    print(noise, *found.items(), sep="\n")  # noqa: T201
    assert np.mean([one.agreement for one in found.values()]) >= 0.95
    assert np.mean([one.trials for one in found.values()]) <= 0.60
    for one in found.values():
        assert one.agreement >= max(0.91, one.again)
        assert one.trials <= 0.70
        assert one.false <= 0.06


def test_sequential_confirmation_in_short():
    found = simulated_looks.sequentially(simulated_looks.tuned(400), "normal", seed=1)
    assert found.agreement >= 0.93
    assert found.trials <= 0.62
    assert found.false <= 0.09


def test_verdicts_of_simulated_runs_in_short():
    border = next(one for one in simulated_runs.BORDERS if one.name == "one mean")
    assert 0 < simulated_runs.errors(border, "skewed", 5, 200) <= 0.06 + two_errors(200)
