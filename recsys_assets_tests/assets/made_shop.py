"""A small made shop as files of the contract: two tastes, six weeks, views and purchases, a few broken rows."""

import csv
import json
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

FIRST, LAST = date(2024, 3, 1), date(2024, 4, 11)
PEOPLE, PRODUCTS = 40, 60
COLUMNS = ("event_type", "event_time", "user_id", "product_id", "quantity", "unit_price", "currency", "order_id")
BROKEN_PER_DAY = 2  # one quantity of 0, one unknown type


def write(folder: Path, shuffle: Callable[[list[dict[str, str]]], None] = lambda _: None) -> None:
    """One event file for each day and one catalogue, with their rows in the order that ``shuffle`` leaves."""
    folder.mkdir(parents=True)
    made = random.Random(20240301)
    day = FIRST
    while day <= LAST:
        rows = [row for person in range(PEOPLE) if made.random() < 0.5 for row in _visit(made, day, person)]
        rows.append(_row("purchase", day, 0, 1) | {"quantity": "0"})
        rows.append(_row("teleport", day, 0, 1))
        shuffle(rows)
        if not rows:  # no delivery that day
            day += timedelta(1)
            continue
        with (folder / f"events-{day}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        day += timedelta(1)
    products = [_product(number) for number in range(PRODUCTS)]
    shuffle(products)
    (folder / "products.jsonl").write_text("".join(json.dumps(product) + "\n" for product in products))


def _visit(made: random.Random, day: date, person: int) -> list[dict[str, str]]:
    # Even people like even products; everybody buys the first few, which makes those popular.
    rows = []
    for number in range(made.randint(1, 4)):
        product = made.choice([made.randrange(6), made.randrange(person % 2, PRODUCTS, 2)])
        at = made.randrange(8 * 3600, 22 * 3600)
        rows.append(_row("view", day, person, product, at))
        if made.random() < 0.6:
            rows.append(_row("purchase", day, person, product, at + 60) | {"order_id": f"{day}-{person}-{number}"})
    return rows


def _row(kind: str, day: date, person: int, product: int, second: int = 43_200) -> dict[str, str]:
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
    return {
        "event_type": kind,
        "event_time": at.isoformat(),
        "user_id": f"person {person}",
        "product_id": f"p{product}",
        "quantity": "1",
        "unit_price": f"{product + 1}.50",
        "currency": "EUR",
        "order_id": "",
    }


def _product(number: int) -> dict[str, str]:
    return {
        "product_id": f"p{number}",
        "name": f"Product {number}",
        "category": f"{('Bread', 'Cheese')[number % 2]} > Kind {number % 5}",
        "unit_price": f"{number + 1}.50",
        "currency": "EUR",
    }
