"""Coverage and size of what decides claims; ``simulation.py`` prints the table of docs/claims.md."""

import numpy as np
import pytest
import simulation

MODERATE = ("normal", "skewed")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_intervals_of_verdicts_cover():
    for row in simulation.coverage(used=True):
        for (noise, n), rate in row.rates.items():
            least, most = (0.93, 0.97) if noise in MODERATE else (0.91, 0.98)
            if row.name == "best of several":  # Bonferroni is cautious by nature
                most = 1.0
            assert least <= rate <= most, (row.name, noise, n, rate)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_test_rejects_what_is_true_too_often():
    for row in simulation.size():
        for (noise, n), rate in row.rates.items():
            error = 3 * np.sqrt(0.05 * 0.95 / 1000) if not row.used else 0.0  # of those with few repetitions
            most = 0.06 if noise in MODERATE else 0.08
            assert rate <= most + error, (row.name, noise, n, rate)


@pytest.mark.slow
@pytest.mark.parametrize("noise", simulation.NOISES)
def test_sequential_confirmation_is_cheap_and_honest(noise):
    found = simulation.sequentially(simulation.mixture(4000), noise)
    assert found.agreement >= 0.95
    assert found.trials <= 0.60
    assert simulation.sequentially(np.zeros(4000), noise).false <= 0.06


def test_sequential_confirmation_in_short():
    found = simulation.sequentially(simulation.mixture(400), "normal", seed=1)
    assert found.agreement >= 0.93
    assert found.trials <= 0.62
    assert found.false <= 0.09
