"""The search as a run of its own: what it finds is tracked, kept, and used by the days after it."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

from recsys_assets.stores.lake import Lake
from recsys_assets.stores.tracking import EXPERIMENT, Tracking
from recsys_assets_tests.assets.conftest import Shop
from recsys_assets_tests.assets.made_shop import FIRST, LAST

OpenShop = Callable[..., AbstractContextManager[Shop]]


def test_what_a_search_finds_is_tracked_and_holds_until_the_next_one(open_shop: OpenShop) -> None:
    with open_shop() as shop:
        with (shop.home.path / "home.toml").open("a") as file:
            file.write("\n[tuning.search]\ntrials = 2\nwindows = [10]\n[tuning.als]\nfactors = 8\n")
            file.write('[tuning.blend]\nkind = "default"\n')
            file.write("[tuning.evaluation]\nbootstrap = 100\nbeginners = 0\nholdout_days = 7\n")
        lake = Lake(shop.home.lake_url)
        earlier = {"overrides": {"item_cf.neighbours": 7, "als.factors": 128}}
        # Of before records said what they had seen, so all days up to theirs; none of the week that the night tests on.
        lake.put_text("search", LAST - timedelta(7), "winner.json", json.dumps(earlier))
        later = {"overrides": {"item_cf.neighbours": 9}}
        lake.put_text("search", LAST + timedelta(1), "winner.json", json.dumps(later))

        history = shop.run("history", FIRST, LAST)
        assert history["success"], history["failures"]
        night = shop.run("daily", LAST, LAST)
        assert night["success"], night["failures"]
        assert "knob_search" not in night["assets"]
        told = shop.run("search", LAST, LAST)
        assert told["success"], told["failures"]
        assert list(told["assets"]) == ["knob_search"]

        winner = json.loads(lake.get_text("search", LAST, "winner.json"))
        about = told["assets"]["knob_search"][str(LAST)]
        assert (winner["overrides"], winner["adopted"]) == (about["overrides"], about["adopted"])
        assert winner["overrides"]["item_cf.neighbours"] == 7  # where the search started
        assert winner["seen_until"] == str(LAST - timedelta(7))
        assert winner["verdict"].startswith(("adopted: ", "not adopted: ", "judged on ", "nothing to adopt: "))
        assert winner["says"][0].startswith(f"chosen on {LAST - timedelta(20)} to {LAST - timedelta(14)}, ")
        # The same day again: a search stops no night, whatever it found.
        again = shop.run("daily", LAST, LAST)
        assert again["success"], again["failures"]
        assert "als.factors" not in winner["overrides"]  # the home sets it
        client = Tracking(shop.settings.mlflow_postgres_url, shop.home.artifacts)._client
        experiment = client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None
        runs = {run.data.tags["model"]: run for run in client.search_runs([experiment.experiment_id])}
        assert runs["item_cf"].data.params["item_cf.neighbours"] == "7"
        assert runs["als"].data.params["als.factors"] == "8"
        whole = runs["search"].info.run_id
        below = [run for run in runs.values() if run.data.tags.get("mlflow.parentRunId") == whole]
        assert len(below) == len(winner["tried"]["trials"]) + len(winner["tried"]["windows"])
        assert all(run.data.metrics for run in below)
