import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import click
import psycopg
import pytest
from click.testing import CliRunner

from recsys_assets.commands import backup, people, publishing
from recsys_assets.errors import NotFoundError, RefusedError, SettingsError
from recsys_assets.local.processes import free_port
from recsys_assets.logic.wishes import Wishes
from recsys_assets.stores import suppressions
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.receipts import record
from recsys_assets.tables import CLEAN_EVENTS
from recsys_assets_tests.published import Stores, frame

Run = Callable[..., str]


@pytest.fixture
def run(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the home; what it prints."""
    for name, value in stores.environment.items():
        monkeypatch.setenv(name, value)

    def invoke(command: click.Command, *arguments: str) -> str:
        return CliRunner().invoke(command, arguments, catch_exceptions=False).output

    return invoke


def test_a_wish_is_answered_with_what_was_done_where_and_since_when(stores: Stores, run: Run) -> None:
    stores.publish(["007", "8"])
    stores.publish(["007", "8"])
    printed = run(people.optout, "007")
    assert "opted out: not served by any store since 2" in printed
    assert "Postgres: 2 lists, 2 profiles and 2 plans removed" in printed
    assert "Redis: 2 lists and 2 plans removed, marker set" in printed
    assert "007" not in printed
    again = run(people.optout, "key:" + stores.key("007"))
    assert again.splitlines()[0] == printed.splitlines()[0]
    assert "comes back with the next publish" in run(people.optin, "007")
    assert "had not opted out" in run(people.optin, "007")
    assert "had not opted out" in run(people.optin, "007", "--anon")
    printed = run(people.forget, "8")
    assert "erased: not served by any store since" in printed
    assert "`recsys run erase`" in printed
    assert "Backups" in printed
    assert "next training" in printed
    with pytest.raises(RefusedError, match="cannot bring back"):
        run(people.optin, "8")


def test_a_receipt_lists_each_store_and_what_follows(stores: Stores, run: Run) -> None:
    stores.publish(["007", "8"])
    stores.publish(["007", "8"])

    def number(printed: str) -> str:
        return next(line for line in printed.splitlines() if line.startswith("receipt: ")).removeprefix("receipt: ")

    out = number(run(people.optout, "8"))
    assert number(run(people.optout, "8")) == out
    assert "opt-out asked 2" in (printed := run(people.receipt, out))
    assert "; done 2" in printed
    assert "to come" not in printed
    assert "opt-in asked" in run(people.receipt, number(run(people.optin, "8")))
    gone = number(run(people.forget, "007"))
    printed = run(people.receipt, gone)
    assert "erasure asked 2" in printed
    assert "not done yet" in printed
    assert [line.split()[:3] for line in printed.splitlines()[1:6]] == [
        ["Postgres", "lists", "2"],
        ["Postgres", "profiles", "2"],
        ["Postgres", "plans", "2"],
        ["Redis", "lists", "2"],
        ["Redis", "plans", "2"],
    ]
    assert "to come: The lake and the exports are swept" in printed
    assert "to come: Models trained before" in printed
    for secret in ("007", stores.key("007"), stores.home.keys.mark(stores.key("007"))):
        assert secret not in printed
    record(Postgres(stores.postgres_url), gone, [("lake: clean_events", 1_311)], done=True)
    printed = run(people.receipt, gone)
    assert "; done 2" in printed
    assert "1,311 removed" in printed
    told = json.loads(run(people.receipt, gone, "--json"))
    assert (told["kind"], told["status"], told["weight_gone_with"]) == ("erasure", "done", None)
    assert [one["count"] for one in told["stores"]] == [2, 2, 2, 2, 2, 1_311]
    assert len(told["follows"]) == 1
    for wrong in ("42", "0" * 32):
        with pytest.raises(NotFoundError, match="no receipt"):
            run(people.receipt, wrong)


def test_json_carries_the_receipt(stores: Stores, run: Run) -> None:
    stores.publish(["1"])
    for command in (people.optout, people.optin, people.forget):
        told = json.loads(run(command, "1", "--json"))
        assert json.loads(run(people.receipt, told["receipt"], "--json"))["receipt"] == told["receipt"]


def test_an_optin_says_that_the_users_file_still_says_no(stores: Stores, run: Run) -> None:
    stores.publish(["1"])
    stores.suppressions.follow(Wishes(refused=[stores.key("1")]))
    assert "had not opted out" in (printed := run(people.optin, "1"))
    assert "the users file says no, and only a later `consent` = true in it lifts that" in printed
    run(people.optout, "1")
    assert "the users file says no" in (printed := run(people.optin, "1"))
    assert "comes back" not in printed


def test_an_optout_without_redis_says_what_holds(
    stores: Stores, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stores.publish(["1"])
    monkeypatch.setattr(suppressions, "SETTLE_SECONDS", 0.1)
    monkeypatch.setenv("RECSYS_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")  # it never was there
    printed = run(people.optout, "1")
    assert "1 lists, 1 profiles and 1 plans removed" in printed
    assert "could not be told all (Redis (RECSYS_REDIS_URL) does not take it" in printed
    assert "`recsys warm`" in printed
    printed = run(people.optin, "1")
    assert "the next publish brings it up to date" in printed
    forgotten = json.loads(run(people.forget, "1", "--json"))
    assert "not done yet" in run(people.receipt, forgotten["receipt"])
    assert "1 opt-outs and erasures" in run(backup.export, str(tmp_path / "wishes.json"))


def test_an_id_that_nothing_is_known_of_is_asked_about(stores: Stores, run: Run) -> None:
    stores.publish(["007"])
    marks = stores.suppressions.marks()
    for command in (people.optout, people.forget):
        for words in (["7"], ["7", "--json"]):
            with pytest.raises(SettingsError, match=r"no store and no file knows this user.* With --yes"):
                run(command, *words)
    assert stores.suppressions.marks() == marks
    assert "opted out" in run(people.optout, "7", "--yes")
    assert "erased" in run(people.forget, "7")  # its receipt is known by now


def test_an_id_of_the_lake_alone_is_known_and_one_of_the_other_kind_is_told(stores: Stores, run: Run) -> None:
    lake, day = Lake(stores.home.lake), date(2024, 3, 1)
    cookie, user = stores.home.keys.anon_key("c-1"), stores.key("u-1")
    seen = {"user_key": user, "anon_key": cookie, "event_date": day, "event_id": "e", "event_type": "view"}
    lake.write(CLEAN_EVENTS, day, frame(CLEAN_EVENTS, [seen, seen | {"user_key": None, "event_id": "f"}]))
    assert "opted out" in run(people.optout, "u-1")
    with pytest.raises(SettingsError, match="It is known as an anonymous id: --anon"):
        run(people.optout, "c-1")
    assert "opted out" in run(people.optout, "c-1", "--anon")


def test_requests_are_listed_with_state_and_age_overdue_first(stores: Stores, run: Run) -> None:
    assert run(people.requests) == "nobody has asked for anything yet\n"
    stores.publish(["1", "2", "3"])
    done, fresh, old = (
        json.loads(run(command, user, "--json"))["receipt"]
        for command, user in ((people.optout, "1"), (people.forget, "2"), (people.forget, "3"))
    )
    with psycopg.connect(stores.postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE receipts SET asked_at = now() - interval '25 hours' WHERE receipt = %s", [old])
    told = json.loads(run(people.requests, "--json"))
    assert [(one["receipt"], one["state"]) for one in told] == [(old, "overdue"), (fresh, "open"), (done, "done")]
    assert told[0]["age_seconds"] >= 25 * 3600
    assert len(json.loads(run(people.requests, "--json", "--limit", "1"))) == 1
    printed = run(people.requests)
    assert [line.split()[:2] for line in printed.splitlines()[:3]] == [
        ["OVERDUE", "erasure"], ["open", "erasure"], ["done", "opt-out"],
    ]  # fmt: skip
    assert printed.splitlines()[0].split()[2:4] == ["1", "d"]
    for user in ("1", "2", "3"):
        assert stores.home.keys.mark(stores.key(user)) not in printed


@pytest.mark.parametrize("user", ["", "x" * 129, "\udcff"])
def test_an_id_that_cannot_be_one_is_refused(run: Run, user: str) -> None:
    for command in (people.optout, people.optin, people.forget):
        with pytest.raises(SettingsError, match="this id is"):
            run(command, user)


def test_generations_and_the_way_back(stores: Stores, run: Run) -> None:
    assert run(publishing.generations) == "nothing has been published yet\n"
    assert json.loads(run(publishing.generations, "--json")) == []
    with pytest.raises(NotFoundError, match="no earlier generation"):
        run(publishing.rollback)
    stores.publish(["1"])
    stores.publish(["1", "2"])
    first, second = run(publishing.generations).splitlines()
    assert first.split() == ["2", "2024-03-01", "live", "model", "1", "2", "people"]
    assert second.split() == ["1", "2024-03-01", "ready", "model", "1", "1", "people"]
    assert [g["live"] for g in json.loads(run(publishing.generations, "--json"))] == [True, False]
    assert "live: generation 1 for 2024-03-01, model 1" in run(publishing.rollback)
    assert "Redis holds the live generation" in run(publishing.warm)
    stores.cache._client.flushall()
    printed = run(publishing.rollback, "--to", "2")
    assert "live: generation 2" in printed
    assert "Redis no longer holds it" in printed
    assert "10 values written to Redis" in printed
    stores.cache._client.flushall()
    assert "10 values written to Redis" in run(publishing.warm)
