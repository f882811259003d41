"""Distribution functions without SciPy, against SciPy."""

import pytest
from scipy import stats

from drift.quantile import beta_cdf, beta_quantile, binomial_upper_tail, clopper_pearson, f_quantile


@pytest.mark.parametrize(("m", "n"), [(1, 30), (5, 55), (16, 44), (26, 274), (40, 2)])
@pytest.mark.parametrize("p", [0.5, 0.95, 0.99, 0.9975])
def test_f_quantiles_agree_with_scipy(m: int, n: int, p: float) -> None:
    assert f_quantile(p, m, n) == pytest.approx(stats.f.ppf(p, m, n), rel=1e-9)


@pytest.mark.parametrize(("x", "a", "b"), [(0.1, 0.5, 0.5), (0.9, 3, 1.5), (0.37, 40, 70), (0.999, 200, 0.7)])
def test_beta_distribution_agrees_with_scipy(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), rel=1e-9)
    assert beta_quantile(x, a, b) == pytest.approx(stats.beta.ppf(x, a, b), rel=1e-9)


def test_binomial_tail_agrees_with_scipy_and_has_its_ends() -> None:
    assert binomial_upper_tail(7, 20, 0.2) == pytest.approx(stats.binom.sf(6, 20, 0.2), rel=1e-9)
    assert binomial_upper_tail(0, 20, 0.2) == 1.0
    assert binomial_upper_tail(21, 20, 0.2) == 0.0


@pytest.mark.parametrize(("errors", "trials"), [(0, 30), (3, 100), (30, 30)])
def test_clopper_pearson_agrees_with_scipy(errors: int, trials: int) -> None:
    expected = stats.binomtest(errors, trials).proportion_ci(method="exact")
    assert clopper_pearson(errors, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_clopper_pearson_without_trials_knows_nothing() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
