from datetime import timedelta

from recsys_assets.stores.live import live
from recsys_assets.stores.postgres import Postgres
from recsys_assets_tests.published import DAY, Stores, frames


def test_nothing_is_live_before_the_first_generation(stores: Stores) -> None:
    assert live(Postgres(stores.postgres_url), 10, 10) is None
    stores.publisher._postgres.migrate()
    assert live(Postgres(stores.postgres_url), 10, 10) is None


def test_what_readers_see_is_read_back_and_nothing_of_a_day_that_is_not_live(stores: Stores) -> None:
    made = stores.publish(["1", "2", "3"], "a", "b", "c")
    found = live(Postgres(stores.postgres_url), people=10, places=2)
    assert found is not None
    assert (found.generation, found.day, found.model_version, found.people) == (made.generation, DAY, "1", 3)
    keys = sorted(stores.key(user) for user in "123")
    assert found.served.rows() == [(key, product, 10) for key in keys for product in ("a", "b")]

    newer = frames([stores.key("4")], ("z",))
    stores.publisher.publish(DAY + timedelta(1), newer, model_version="2", keep=5)
    stores.publisher.rollback()
    again = live(Postgres(stores.postgres_url), people=2, places=1)
    assert again is not None
    assert (again.generation, again.people) == (made.generation, 3)
    assert again.served.rows() == [(key, "a", 10) for key in keys[:2]]


def test_who_opted_out_does_not_count(stores: Stores) -> None:
    stores.publish(["1", "2"], "a")
    stores.suppressions.optout(stores.key("1"))
    found = live(Postgres(stores.postgres_url), 10, 10)
    assert found is not None
    assert (found.people, found.served["person_key"].to_list()) == (1, [stores.key("2")])
