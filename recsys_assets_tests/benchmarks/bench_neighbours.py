"""Fit times of the neighbour models at one, two and four times the interactions. Goal: linear in interactions.

People are added, products stay: what a growing shop sees.

Run: ``python -m recsys_assets_tests.benchmarks.bench_neighbours``
"""

import time
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from recsys_assets.models.base import Interactions, Recommender, Steps
from recsys_assets.models.graph import Graph
from recsys_assets.models.item_cf import ItemCf
from recsys_assets.models.linear import Linear
from recsys_assets.models.session import Session
from recsys_assets.models.user_knn import UserKnn

PEOPLE, PRODUCTS, TAKEN = 20_000, 20_000, 25
MODELS: dict[str, Callable[[], Recommender]] = {
    "item_cf": ItemCf,
    "session": Session,
    "graph": Graph,
    "linear": Linear,
    "user_knn": UserKnn,
}


def made_shop(people: int) -> Interactions:
    """Everybody takes about ``TAKEN`` products, one a visit; the popular ones far more often."""
    random = np.random.default_rng(people)
    chances = 1 / (np.arange(PRODUCTS) + 100.0)
    drawn = random.choice(PRODUCTS, size=(people, TAKEN), p=chances / chances.sum())
    rows = np.repeat(np.arange(people), TAKEN)
    taken = sp.csr_matrix((np.ones(rows.size, dtype=np.float32), (rows, drawn.ravel())), shape=(people, PRODUCTS))
    taken.sum_duplicates()
    places = np.tile(np.arange(TAKEN, dtype=np.int32), people)
    starts = np.arange(people + 1, dtype=np.int64) * TAKEN
    steps = Steps(starts, drawn.ravel().astype(np.int32), places, places, (TAKEN - places).astype(np.float32))
    keys = np.char.zfill(np.arange(people).astype(np.str_), 9)
    ids = np.char.zfill(np.arange(PRODUCTS).astype(np.str_), 9)
    return Interactions(keys, ids, taken, taken, taken, taken, steps)


def main() -> None:
    shops = [made_shop(PEOPLE * times) for times in (1, 2, 4)]
    for name, make in MODELS.items():
        make().fit(made_shop(100))  # compiles
        told = []
        for shop in shops:
            started = time.perf_counter()
            make().fit(shop)
            seconds = time.perf_counter() - started
            millions = shop.purchases.nnz / 1e6
            told.append(f"{millions:.1f} M in {seconds:.2f} s, {seconds / millions:.2f} s per million")
        print(f"{name}: {' · '.join(told)}")


if __name__ == "__main__":
    main()
