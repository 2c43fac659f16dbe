"""Readers under faults (promise 8): what happens to a shop's stores, API and network, and what its readers see.

A handful of faults of two seconds in the usual tests; `make chaos` sets CHAOS_ROUNDS: all of them, several times, and a
soak. The table is printed at the end (`rows.table`).
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recsys_assets.settings import Home, init_home, load_settings
from recsys_assets_tests.chaos.faults import CASES, CHAOS, FULL_DISK, ROUNDS, Case
from recsys_assets_tests.chaos.reading import Reader
from recsys_assets_tests.chaos.rows import NAME, Row
from recsys_assets_tests.chaos.shop import STAYING, Shop, open_shop
from recsys_assets_tests.published import DAY

SLOW_SHARE, HEALED_SECONDS = 0.01, 5.0  # promise 8, asserted under `make chaos` alone: elsewhere machines are shared
TRIALS, SECONDS, RATE = max(1, ROUNDS // 300), 5.0 if CHAOS else 2.0, 100 if CHAOS else 50


@pytest.fixture(scope="module")
def make_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Home]:
    """A home with all defaults, at every call."""

    def make() -> Home:
        settings = load_settings({"RECSYS_HOME": str(tmp_path_factory.mktemp("chaos") / "home")})
        return init_home(settings, first_day=DAY, time_zone="UTC", currency="EUR")

    return make


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, make_home: Callable[[], Home]) -> Iterator[Shop]:
    with open_shop(make_home(), tmp_path_factory.mktemp("stores")) as made:
        yield made


@pytest.mark.parametrize("case", [one for one in CASES if CHAOS or one.usual], ids=lambda one: one.name)
def test_readers(case: Case, shop: Shop, request: pytest.FixtureRequest) -> None:
    judge(case, shop, request.node)


@pytest.mark.skipif(
    not CHAOS or os.geteuid() != 0, reason="a small disk can be had by root alone; `make chaos` fills it"
)
def test_a_full_disk(make_home: Callable[[], Home], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "none", str(tmp_path)], check=True)
    try:
        with open_shop(make_home(), tmp_path) as shop:
            judge(FULL_DISK, shop, request.node)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def judge(case: Case, shop: Shop, node: pytest.Item) -> None:
    """All trials of a case; its row goes to the table whatever comes."""
    row = Row(fault=case.name)
    examples: list[str] = []
    try:
        for _ in range(TRIALS):
            examples += trial(case, shop, row)
    finally:
        node.user_properties.append((NAME, row.to_report()))
    assert (row.refused, row.lost, row.mixed, row.resurrected) == (0, 0, 0, 0), examples
    assert row.unanswered == 0 or case.ends_api, examples
    assert row.healed is not None, examples
    if CHAOS:
        assert row.slow_share <= SLOW_SHARE, row
        assert row.healed <= HEALED_SECONDS or case.ends_api, row


def trial(case: Case, shop: Shop, row: Row) -> list[str]:
    """One more of a case, added to its row; gives some of the answers that were not right."""
    with Reader(shop.port, STAYING, shop.gone, RATE) as reader, shop.wishing():
        with case.fault(shop):
            reader.pass_time(SECONDS / 2)
            if case.publishes:
                shop.publish()
            reader.pass_time(SECONDS / 2)
        healed = shop.heal(reader)
        shop.publish()  # an API that has stopped looking what is live answers on from the last one
        seen = shop.heal(reader) is not None
    row.add(reader.counts, lost=shop.lost(), healed=healed if seen else None)
    if not seen:  # what comes next is judged by itself
        shop.restart_api()
        shop.await_api()
    return reader.examples
