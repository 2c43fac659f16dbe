import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from recsys_assets.commands.verify import verify
from recsys_assets.local.supervisor import servers
from recsys_assets.settings import Home, Settings
from recsys_assets.stores.cache import popular_key
from recsys_assets_tests.conftest import remove_postgres
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


def test_a_home_whose_servers_do_not_run_agrees_too(
    home: Home, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Redis is started for the command: nobody has told that start of suppressions yet."""
    try:
        with servers(make_settings(), home) as found:
            Stores(home, found.postgres_url, found.redis_url).publish(["1"])
        monkeypatch.setenv("RECSYS_HOME", str(home.path))
        done = CliRunner().invoke(verify, ["--json"])
        assert (done.exit_code, json.loads(done.output)["agree"]) == (0, True), done.output
        assert "Redis runs for this command alone" in done.output
    finally:
        remove_postgres(home.path)
