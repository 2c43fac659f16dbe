"""Lists of visits that no night has seen: what the API makes of `recent=` beside what is popular.

The rules of `transitions` are published as they would be (table NEXT_ITEMS), read back as the API reads them, and asked
by the function that the API asks. After 1, 2 and 3 products of each held-out session: the share whose next product is
among the first 20 (P@20), and the mean of 1 / its place (MRR@20), beside the most clicked products, with 95 % intervals
of the difference over sessions. Products of the visit itself are not left out.

Run: ``python -m recsys_assets_tests.benchmarks.bench_recent FOLDER [depth …]``; FOLDER holds ``train.parquet``
(session, position, item) and ``test.parquet`` (prefix, target), a depth is `next_items`, default 20.
"""

import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys_assets.benchmark.sessions import Clicks
from recsys_assets.logic.blending import asked, listed, summed, topped_up
from recsys_assets.logic.bootstrap import interval, resampled_means
from recsys_assets.models.next_items import next_items
from recsys_assets.models.transitions import Transitions
from recsys_assets.tables import CATALOG
from recsys_assets.tuning import Tuning
from recsys_assets_tests.published import rules_of

K, SIZES, REPLICATES = 20, (1, 2, 3), 1_000
LATELY = 0.1  # share of the training sessions, the latest, of which the popular products are counted


def clicks(path: Path) -> Clicks:
    """The sessions of a file."""
    frame = pl.read_parquet(path).sort("session", "position").with_columns(pl.col("item").cast(pl.String))
    product_ids = np.array(sorted(frame["item"].unique().to_list()), dtype=np.str_)
    lengths = frame.group_by("session", maintain_order=True).len()["len"].to_numpy()
    columns = np.searchsorted(product_ids, frame["item"].to_numpy().astype(np.str_)).astype(np.int32)
    return Clicks(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), columns, product_ids)


def figures(lists: list[list[str]], targets: list[str]) -> npt.NDArray[np.float64]:
    """Sessions × (P@20, MRR@20)."""
    made = np.zeros((len(targets), 2))
    for row, (products, target) in enumerate(zip(lists, targets, strict=True)):
        if target in products[:K]:
            made[row] = 1.0, 1.0 / (products.index(target) + 1)
    return made


def main() -> None:
    folder, depths = Path(sys.argv[1]), [int(depth) for depth in sys.argv[2:]] or [20]
    train = clicks(folder / "train.parquet")
    model = Transitions()
    model.fit(train.people(train.per_day))
    first = train.indptr[int(train.count * (1 - LATELY))]
    popular = [name for name, _ in Counter(train.product_ids[train.columns[first:]].tolist()).most_common(2 * K)]
    test = pl.read_parquet(folder / "test.parquet").with_columns(
        pl.col("prefix").cast(pl.List(pl.String)), pl.col("target").cast(pl.String)
    )
    everything = np.ones(len(model.product_ids), dtype=bool)
    for depth in depths:
        frame = next_items(model, everything, CATALOG.empty(), Tuning(next_items=depth))
        rules = rules_of(frame)
        print(f"next_items {depth}: {frame.height:,} rows of {len(rules):,} products")
        for size in SIZES:
            held = test.filter(pl.col("prefix").list.len() == size)
            started = time.perf_counter()
            lists = []
            for recent in held["prefix"].to_list():
                session = listed({"id": [name for name, _ in summed(asked(recent), rules)]}, score=1.0)
                filled = topped_up(session, [[{"id": name, "score": 1.0} for name in popular]], K)
                lists.append([product["id"] for product in filled])
            seconds = time.perf_counter() - started
            targets = held["target"].to_list()
            ours, theirs = figures(lists, targets), figures([popular] * len(targets), targets)
            low, high = interval(resampled_means(ours - theirs, REPLICATES, seed=1))
            for place, name in enumerate((f"P@{K}", f"MRR@{K}")):
                print(
                    f"  after {size}: {name:<6} {ours[:, place].mean():.4f}  popular {theirs[:, place].mean():.4f}  "
                    f"gain {low[place]:+.4f} to {high[place]:+.4f}  ({len(targets):,} sessions, "
                    f"{seconds / len(targets) * 1e6:.0f} µs each)"
                )


if __name__ == "__main__":
    main()
