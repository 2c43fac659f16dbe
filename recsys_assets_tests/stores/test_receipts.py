from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from recsys_assets.identity import KeyRing
from recsys_assets.logic.wishes import Wishes
from recsys_assets.stores import receipts, suppressions, wishes
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.receipts import CACHED, CACHED_PLANS, LISTS, PLANS, PROFILES, Receipt
from recsys_assets_tests.door import door
from recsys_assets_tests.published import Stores, frames

POSTGRES, REDIS = (LISTS, PROFILES, PLANS), (CACHED, CACHED_PLANS)


def found(stores: Stores, receipt: str) -> Receipt:
    there = receipts.find(Postgres(stores.postgres_url), receipt)
    assert there is not None
    return there


def lines(stores: Stores, receipt: str) -> list[tuple[str, int]]:
    return [(one.store, one.count) for one in found(stores, receipt).stores]


def each(count: int, *stores: str) -> list[tuple[str, int]]:
    return [(store, count) for store in stores]


def mark(stores: Stores, user: str) -> str:
    return stores.home.keys.mark(stores.key(user))


def test_a_receipt_says_what_left_which_store_and_when(stores: Stores) -> None:
    stores.publish(["1", "2"])
    stores.publish(["1", "2"])
    before = datetime.now(UTC)
    done = stores.suppressions.forget(stores.key("1"))
    told = found(stores, done.receipt)
    assert lines(stores, done.receipt) == each(2, *POSTGRES, *REDIS)
    assert before <= told.asked_at <= min(one.at for one in told.stores)
    assert max(one.at for one in told.stores) <= datetime.now(UTC)
    assert (told.kind, told.status, told.done_at, told.weight_gone_with) == ("erasure", "pending", None, None)
    out = found(stores, stores.suppressions.optout(stores.key("2")).receipt)
    assert (out.kind, out.status, out.follows) == ("optout", "done", ())
    assert out.done_at is not None
    assert out.asked_at <= out.done_at


def test_a_receipt_knows_nobody(stores: Stores) -> None:
    stores.publish(["1"])
    done = stores.suppressions.forget(stores.key("1"))
    assert UUID(done.receipt) not in (UUID(stores.key("1")), UUID(mark(stores, "1")))
    other = KeyRing(b"another secret of many bytes")
    assert other.receipt(mark(stores, "1")) != UUID(done.receipt).hex
    rows = stores.rows()["receipts"]
    assert len(rows) == 1
    assert str(UUID(stores.key("1"))) not in rows[0]


def test_asked_again_a_wish_keeps_its_receipt_until_another_one_has_come_between(stores: Stores) -> None:
    stores.publish(["1"])
    wish, key = stores.suppressions, stores.key("1")
    first = wish.optin(key)
    assert (first.was_out, wish.optin(key).receipt) == (False, first.receipt)
    out = wish.optout(key)
    assert wish.optout(key).receipt == out.receipt
    back = wish.optin(key)
    assert back.receipt not in (first.receipt, out.receipt)
    assert wish.optin(key).receipt == back.receipt
    again = wish.optout(key)
    assert again.receipt != out.receipt
    gone = wish.forget(key)
    assert {wish.forget(key).receipt, wish.optout(key).receipt} == {gone.receipt}
    assert len(stores.rows()["receipts"]) == 5
    assert lines(stores, gone.receipt) == each(0, *POSTGRES, *REDIS)  # the opt-out took them


def test_a_no_of_the_users_file_is_no_wish_of_the_person(stores: Stores) -> None:
    stores.publish(["1"])
    stores.suppressions.follow(Wishes(refused=[stores.key("1")]))
    assert stores.rows()["receipts"] == []
    back = stores.suppressions.optin(stores.key("1"))
    assert back.by_file
    assert found(stores, back.receipt).status == "done"
    out = stores.suppressions.optout(stores.key("1"))
    assert found(stores, out.receipt).kind == "optout"


def test_what_waits_is_swept_in_the_order_it_was_asked_and_closed_once(stores: Stores) -> None:
    postgres = Postgres(stores.postgres_url)
    assert receipts.pending(postgres) == []
    asked = [stores.suppressions.forget(stores.key(user)).receipt for user in ("1", "2")]
    stores.suppressions.optout(stores.key("3"))
    assert [one.receipt for one in receipts.pending(postgres)] == asked
    assert [one.mark for one in receipts.pending(postgres)] == [mark(stores, "1"), mark(stores, "2")]
    assert not receipts.record(postgres, asked[0], [("lake: clean_events", 7)], done=False)
    assert receipts.record(postgres, asked[0], [("exports", 0)], done=True)
    first = found(stores, asked[0])
    assert [one.store for one in first.stores] == [*POSTGRES, *REDIS, "lake: clean_events", "exports"]
    assert first.done_at is not None
    assert receipts.record(postgres, asked[0], [("exports", 1)], done=False)
    assert found(stores, asked[0]).done_at == first.done_at
    assert [one.receipt for one in receipts.pending(postgres)] == asked[1:]
    assert receipts.erased_marks(postgres) == {mark(stores, "1"), mark(stores, "2")}


def test_an_erasure_is_not_done_before_redis_is(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppressions, "SETTLE_SECONDS", 0.1)
    stores.publish(["1", "2", "3"])
    postgres = Postgres(stores.postgres_url)
    with door(stores.redis_url) as (redis, url):
        redis.shut()
        away = Stores(stores.home, stores.postgres_url, url).suppressions
        gone, out = away.forget(stores.key("1")).receipt, away.optout(stores.key("2")).receipt
        back = away.optin(stores.key("2")).receipt
    assert lines(stores, gone) == each(1, *POSTGRES)
    assert {found(stores, one).status for one in (gone, out, back)} == {"pending"}
    assert all("Redis" in found(stores, one).follows[0] for one in (gone, out, back))
    assert not receipts.record(postgres, gone, [("lake", 3)], done=True)
    stores.suppressions.optout(stores.key("3"))  # the next change brings Redis what it missed
    assert lines(stores, gone) == [*each(1, *POSTGRES), ("lake", 3), *each(1, *REDIS)]
    assert lines(stores, out) == each(1, *POSTGRES, *REDIS)
    assert {found(stores, one).status for one in (out, back)} == {"done"}
    assert receipts.record(postgres, gone, [], done=True)


def test_only_what_could_be_a_number_is_looked_up(stores: Stores) -> None:
    done = stores.suppressions.forget(stores.key("1"))
    for written in (done.receipt, done.receipt.upper(), done.receipt.replace("-", "")):
        assert found(stores, written).receipt == done.receipt
    for written in (
        "",
        "1",
        f"{{{done.receipt}}}",
        f"urn:uuid:{done.receipt}",
        done.receipt + "\n",
        str(uuid4()),
        "٣" * 32,
    ):
        assert receipts.find(Postgres(stores.postgres_url), written) is None


def test_an_older_database_into_which_the_wishes_are_brought_gives_the_same_receipt(
    stores: Stores, database: object
) -> None:
    stores.publish(["1", "2"])
    gone = stores.suppressions.forget(stores.key("1"))
    stores.suppressions.optout(stores.key("2"))
    made = wishes.exported(Postgres(stores.postgres_url), stores.home.keys, datetime.now(UTC))
    assert callable(database)
    older = Stores(stores.home, database(), stores.redis_url)
    older.publish(["1", "2"])
    postgres = Postgres(older.postgres_url)
    assert wishes.apply(postgres, older.cache, older.home.keys, made.wishes) == 2
    there = found(older, gone.receipt)
    assert (there.status, there.asked_at) == ("pending", found(stores, gone.receipt).asked_at)
    assert [one.receipt for one in receipts.pending(postgres)] == [gone.receipt]
    assert older.suppressions.sweep([mark(older, "1")]) == each(0, *POSTGRES, *REDIS)
    assert receipts.record(postgres, gone.receipt, [("lake", 1)], done=True)
    assert wishes.apply(postgres, older.cache, older.home.keys, made.wishes) == 0
    assert receipts.pending(postgres) == []  # what was swept is not open again
    assert older.suppressions.forget(older.key("1")).receipt == gone.receipt


def test_the_weight_goes_with_the_first_generation_of_a_model_trained_after_the_sweep(stores: Stores) -> None:
    postgres = Postgres(stores.postgres_url)

    def publish(model: str, learnt_at: datetime | None) -> int:
        made = frames([stores.key("2")])
        day = date(2024, 3, 1)
        return stores.publisher.publish(day, made, model_version=model, learnt_at=learnt_at, keep=2).generation

    publish("recsys/1", datetime.now(UTC))
    receipt = stores.suppressions.forget(stores.key("1")).receipt
    publish("recsys/2", datetime.now(UTC))
    assert receipts.record(postgres, receipt, [], done=True)
    done = found(stores, receipt)
    assert done.done_at is not None
    assert "first training" in done.follows[0]
    publish("recsys/2", done.done_at - timedelta(seconds=1))  # learnt before, published after
    publish("recsys/3", None)
    assert found(stores, receipt).weight_gone_with is None
    first = publish("recsys/4", datetime.now(UTC))
    publish("recsys/5", datetime.now(UTC))
    assert (found(stores, receipt).weight_gone_with, found(stores, receipt).follows) == (first, ())
    with psycopg.connect(stores.postgres_url) as connection:  # its rows may be gone: the number stays true
        assert connection.execute("SELECT state FROM generations WHERE generation = 1").fetchone() == ("retired",)
