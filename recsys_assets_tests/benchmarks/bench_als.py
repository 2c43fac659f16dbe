"""ALS fit through our model beside bare ``implicit`` on the same matrix, at equal settings. Goal: within 1.1 times.

Run: ``python -m recsys_assets_tests.benchmarks.bench_als``
"""

import time
from collections.abc import Callable
from datetime import date

from implicit.als import AlternatingLeastSquares

from recsys_assets.logic.interactions import interactions
from recsys_assets.models.als import Als
from recsys_assets.models.base import Interactions, one_blas_thread, tastes
from recsys_assets.tuning import Tuning
from recsys_assets_tests.benchmarks.purchases import clean_events

ROUNDS = 5


def seconds_of(run: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    tuning = Tuning()
    train = Interactions.from_frame(interactions(clean_events(), date(2017, 12, 31), tuning))
    matrix = tastes(train, tuning.event_weights.purchase)
    settings = tuning.als.model_dump(include={"factors", "iterations", "regularization", "alpha"})

    def ours() -> None:
        Als(**settings, seed=1).fit(train)

    def bare() -> None:
        with one_blas_thread():
            AlternatingLeastSquares(**settings, random_state=1, use_gpu=False).fit(matrix, show_progress=False)

    bare()  # warm-up
    # In turn, and the fastest of each: what the code costs, without its neighbours on the machine.
    rounds = [(seconds_of(ours), seconds_of(bare)) for _ in range(ROUNDS)]
    our_seconds, bare_seconds = (min(column) for column in zip(*rounds, strict=True))
    print(f"{matrix.shape[0]} people × {matrix.shape[1]} products, {matrix.nnz} entries, {settings}")
    print(f"ours {our_seconds:.2f} s · bare implicit {bare_seconds:.2f} s · {our_seconds / bare_seconds:.2f} times")


if __name__ == "__main__":
    main()
