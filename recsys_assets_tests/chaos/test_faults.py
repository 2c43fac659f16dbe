"""Readers under faults (promise 8): what happens to a shop's stores, API and network, and what its readers see.

A handful of faults of two seconds in the usual tests; `make chaos` sets CHAOS_ROUNDS: all of them, several times, and a
soak. The table is printed at the end (`rows.table`). How long an answer takes and how soon all is well again is
asserted under `make chaos` alone: elsewhere the machine is shared.
"""

import os
from collections.abc import Iterator

import pytest

from recsys_assets.settings import init_home, load_settings
from recsys_assets_tests.chaos.faults import CASES, Case
from recsys_assets_tests.chaos.reading import Reader
from recsys_assets_tests.chaos.rows import NAME, Row
from recsys_assets_tests.chaos.shop import STAYING, Shop, open_shop
from recsys_assets_tests.published import DAY

CHAOS = "CHAOS_ROUNDS" in os.environ
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "50"))
TRIALS, SECONDS, RATE = max(1, ROUNDS // 300), 5.0 if CHAOS else 2.0, 200 if CHAOS else 50
SLOW_SHARE, HEALED_SECONDS = 0.01, 5.0  # under `make chaos`


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("chaos")
    home = init_home(
        load_settings({"RECSYS_HOME": str(folder / "home")}), first_day=DAY, time_zone="UTC", currency="EUR"
    )
    with open_shop(home, folder) as made:
        yield made


@pytest.mark.parametrize("case", [pytest.param(one, id=one.name) for one in CASES if CHAOS or one.usual])
def test_readers(case: Case, shop: Shop, request: pytest.FixtureRequest) -> None:
    row = Row(fault=case.name)
    examples: list[str] = []
    try:
        for _ in range(TRIALS):
            examples += trial(case, shop, row)
    finally:
        request.node.user_properties.append((NAME, row.to_report()))
    assert (row.refused, row.lost, row.mixed, row.resurrected) == (0, 0, 0, 0), examples
    assert case.ends_api or row.unanswered == 0, examples
    assert row.healed is not None, examples
    if CHAOS:
        assert row.slow_share <= SLOW_SHARE or case.ends_api
        assert row.healed <= HEALED_SECONDS


def trial(case: Case, shop: Shop, row: Row) -> list[str]:
    """One more of a case, added to its row; gives some of the answers that were not right."""
    shop.publish()
    with Reader(shop.port, STAYING, shop.gone, RATE) as reader:
        shop.heal(reader)
        with shop.wishing():
            with case.fault(shop):
                reader.pass_time(SECONDS / 2)
                if case.publishes:
                    shop.publish()
                reader.pass_time(SECONDS / 2)
            healed = shop.heal(reader)
    row.add(reader.counts, lost=shop.lost(), healed=healed)
    return reader.examples
