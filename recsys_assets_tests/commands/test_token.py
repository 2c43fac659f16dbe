import json
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

from recsys_assets.commands import token
from recsys_assets.errors import NotFoundError
from recsys_assets_tests.published import Stores

Run = Callable[..., Result]


@pytest.fixture
def run(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the home."""
    for name, value in stores.environment.items():
        monkeypatch.setenv(name, value)

    def invoke(command: click.Command, *arguments: str) -> Result:
        return CliRunner().invoke(command, arguments, catch_exceptions=False)

    return invoke


def test_a_token_is_printed_once(run: Run) -> None:
    printed = run(token.make_command, "shop", "--scope", "writes", "--scope", "profiles").output
    made = printed.splitlines()[0]
    assert made.startswith("recsys_")
    assert "for shop: profiles, writes; until 2" in printed
    assert "in 89 days" in printed or "in 90 days" in printed
    listed = run(token.list_command).output
    assert "profiles,writes" in listed
    assert made not in listed
    assert made not in run(token.revoke_command, "shop").output
    assert "no token yet" in run(token.list_command).output


def test_programs_get_the_same(run: Run) -> None:
    made = json.loads(run(token.make_command, "shop", "--scope", "listings", "--days", "7", "--json").output)
    assert set(made) == {"number", "name", "scopes", "made_at", "expires_at", "token"}
    again = json.loads(run(token.rotate_command, "shop", "--overlap", "1", "--json").output)
    assert (again["scopes"], again["name"]) == (["listings"], "shop")
    listed = json.loads(run(token.list_command, "--json").output)
    assert [each["number"] for each in listed] == [made["number"], again["number"]]
    assert all("token" not in each and not each["expired"] for each in listed)
    gone = json.loads(run(token.revoke_command, made["number"], "--json").output)
    assert [each["number"] for each in gone] == [made["number"]]


def test_a_rotation_says_how_long_the_old_one_is_taken(run: Run) -> None:
    run(token.make_command, "shop", "--scope", "writes")
    assert "taken for 24 h more" in run(token.rotate_command, "shop").output
    assert "has ended" in run(token.rotate_command, "shop", "--overlap", "0").output
    assert run(token.list_command).output.count("(expired)") == 2
    with pytest.raises(NotFoundError, match="recsys token list"):
        run(token.rotate_command, "crm")


@pytest.mark.parametrize(
    "words", [("shop",), ("shop", "--scope", "all"), ("", "--scope", "writes"), ("a\nb", "--scope", "writes"),
              ("x" * 65, "--scope", "writes"), ("shop", "--scope", "writes", "--days", "0")],
)  # fmt: skip
def test_a_wrong_command_line_is_refused(run: Run, words: tuple[str, ...]) -> None:
    assert run(token.make_command, *words).exit_code == 2
