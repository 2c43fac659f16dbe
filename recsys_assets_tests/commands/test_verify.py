import json

import pytest
from click.testing import CliRunner, Result

from recsys_assets.commands.verify import verify
from recsys_assets.stores.cache import popular_key
from recsys_assets_tests.published import Stores


def run(stores: Stores, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    for name, value in stores.environment.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(verify, words)


def test_stores_that_agree_and_stores_that_differ(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.publish(["1"])
    done = run(stores, monkeypatch)
    assert done.exit_code == 0
    assert done.output.splitlines()[0] == "generation 1 for 2024-03-01, live"
    assert done.output.splitlines()[-1] == "all agree"
    assert "note: the lake no longer has lists of 2024-03-01" in done.output
    stores.cache._client.delete(popular_key(1))
    done = run(stores, monkeypatch, "--generation", "1")
    assert done.exit_code == 1
    assert "DIFFERS: Redis lacks popular values (1): recsys:1:popular" in done.output
    assert done.output.splitlines()[-1] == "1 kinds of differences"
    done = run(stores, monkeypatch, "--json")
    told = json.loads(done.output)
    assert (done.exit_code, told["agree"]) == (1, False)
    assert told["differences"] == [{"what": "Redis lacks popular values", "count": 1, "first": ["recsys:1:popular"]}]
