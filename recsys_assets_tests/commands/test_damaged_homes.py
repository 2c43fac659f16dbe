"""Every command on a home that is damaged somewhere: an exit code and a sentence, never a traceback."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys_assets import cli
from recsys_assets.settings import Home
from recsys_assets.tables import CATALOG, CLEAN_EVENTS, DELIVERY_AUDIT, IDENTITIES, LISTS, USER_PROFILES
from recsys_assets_tests.published import Stores

COMMANDS = (
    "status", "down", "generations", "verify", "rejected show", "search show", "retention", "show 1",
    "explain 1 2", "export out.csv", "export-person 1", "keys --ids ids.csv", "optout 1", "forget 1",
    "suppressions export wishes.json", "suppressions apply wishes.json", "products list", "copy plan",
    "copy export texts", "copy refused", "migrate --check", "token list", "ingest contract events.csv", "warm",
)  # fmt: skip


SLOW = ("doctor", "backup b.tar")


def _table(name: str) -> Callable[[Path], None]:
    def damage(home: Path) -> None:
        day = home / "lake" / name / "2024-03-01"
        day.mkdir(parents=True, exist_ok=True)
        (day / "part.parquet").write_bytes(b"PAR1 this is no table PAR1")

    return damage


def _file(name: str, content: bytes | None = b"\xff\xfe{") -> Callable[[Path], None]:
    def damage(home: Path) -> None:
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.is_file():
            path.unlink()
        path.mkdir(parents=True) if content is None else path.write_bytes(content)

    return damage


DAMAGES: dict[str, Callable[[Path], None]] = {
    "home.toml is bytes": _file("home.toml"),
    "home.toml is a folder": _file("home.toml", None),
    "home.toml is empty": _file("home.toml", b""),
    "secret is bytes": _file("secret"),
    "secret is a folder": _file("secret", None),
    "secret is short": _file("secret", b"x"),
    "state.json is bytes": _file("state.json"),
    "state.json is a list": _file("state.json", b"[]"),
    "state.json is another": _file("state.json", b'{"processes": [3]}'),
    "the lake is a file": _file("lake", b""),
    "a delivery": _file("lake/deliveries/x.json"),
    "a delivery of another form": _file("lake/deliveries/x.json", b"[1]"),
    "a tombstone": _file("lake/tombstones/x.json", b"{"),
    "a sweep": _file("lake/sweeps/done.json", b"{}"),
    "a manifest": _file("lake/manifests/lists/2024-03-01/part.json", b"{"),
    "an export": _file("exports/lists.csv", b"person_key,x\n1,2,3\n"),
    "whose mail": _file("exports/mail/.people/a.html.json", b"{"),
    **{
        f"a part of {table.name}": _table(table.name)
        for table in (CLEAN_EVENTS, CATALOG, IDENTITIES, USER_PROFILES, LISTS, DELIVERY_AUDIT)
    },
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_command_ends_in_a_traceback(
    damage: str, stores: Stores, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home: Home = stores.home
    stores.publish(["1"])
    for name, value in stores.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home.path.parent)
    Path("ids.csv").write_text("user_id\n1\n")
    Path("events.csv").write_text("event_type\nview\n")
    DAMAGES[damage](home.path)
    slow = SLOW if damage in ("the lake is a file", "secret is bytes", "a tombstone") else ()
    for words in (*COMMANDS, *slow):
        monkeypatch.setattr(sys, "argv", ["recsys", *words.split()])
        code: object = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        assert "Traceback" not in said.err, words
        assert code in (0, 1, 3) or "No such command" in said.err, (words, code, said.err)
        assert "No such command" not in said.err, words
        if code:
            assert "recsys: " in said.err or said.out, (words, said)


def test_a_home_that_may_not_be_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text

    def refused(path: Path, *args: str, **more: str) -> str:
        if path.name == "home.toml":
            raise PermissionError(13, os.strerror(13), str(path))
        return read(path, *args, **more)

    monkeypatch.setenv("RECSYS_HOME", str(home.path))
    monkeypatch.setattr(Path, "read_text", refused)
    monkeypatch.setattr(sys, "argv", ["recsys", "status"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
