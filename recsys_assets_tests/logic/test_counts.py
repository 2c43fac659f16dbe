"""Chance stops few nights of a shop of any size, and what is missing is named: `bench_nights` on half as much."""

import pytest
from scipy.stats import nbinom, poisson

from recsys_assets.logic.counts import chance_of_so_few, chance_of_so_many
from recsys_assets_tests.benchmarks.bench_nights import rates


@pytest.mark.parametrize("lines", [5, 25, 100])
def test_chance_stops_at_most_one_night_in_a_hundred(lines: int) -> None:
    assert rates(lines, range(1), every=400).false <= 0.01


@pytest.mark.parametrize(("lines", "named"), [(200, 0.9), (3_000, 1.0)])
def test_a_cut_afternoon_and_missing_people_are_named(lines: int, named: float) -> None:
    found = rates(lines, range(1), days=120, every=2)
    assert found.false <= 0.01
    assert found.cut[1] == 1
    assert found.half[1] >= named


@pytest.mark.parametrize("mean", [0.5, 7.0, 300.0])
@pytest.mark.parametrize("count", [0, 1, 5, 280])
def test_chances_are_those_of_the_distributions(mean: float, count: int) -> None:
    assert chance_of_so_few(count, mean, 1.0) == pytest.approx(poisson.cdf(count, mean))
    assert chance_of_so_many(count, mean, 1.0) == pytest.approx(poisson.sf(count - 1, mean))
    wide = nbinom(mean / 2, 1 / 3)  # variance 3 times the mean
    assert chance_of_so_few(count, mean, 3.0) == pytest.approx(wide.cdf(count))
    assert chance_of_so_many(count, mean, 3.0) == pytest.approx(wide.sf(count - 1))
