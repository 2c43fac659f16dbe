import numpy as np

from recsys_assets.logic.bootstrap import interval, resampled_means


def test_the_same_seed_gives_the_same_means_and_another_one_others() -> None:
    values = np.random.default_rng(0).random((30, 2))
    assert resampled_means(values, 50, 1).tobytes() == resampled_means(values, 50, 1).tobytes()
    assert resampled_means(values, 50, 1).tobytes() != resampled_means(values, 50, 2).tobytes()


def test_columns_share_their_draws_so_differences_are_paired() -> None:
    values = np.random.default_rng(0).random((30, 1))
    means = resampled_means(np.hstack([values, values + 0.25]), 100, 1)
    low, high = interval((means[:, 1] - means[:, 0])[:, None])
    np.testing.assert_allclose([low[0], high[0]], 0.25)


def test_the_interval_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(3, 2, size=(400, 1))
    low, high = interval(resampled_means(values, 4000, 1))
    half = 1.96 * values.std() / np.sqrt(400)
    np.testing.assert_allclose([low[0], high[0]], [values.mean() - half, values.mean() + half], atol=0.03)


def test_a_constant_has_an_interval_of_no_width() -> None:
    low, high = interval(resampled_means(np.ones((5, 1)), 100, 1))
    assert low[0] == high[0] == 1
