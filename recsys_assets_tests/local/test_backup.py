"""A backup, and the home that comes out of it, on real servers."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from recsys_assets.errors import HomeError, RefusedError, SourceError
from recsys_assets.identity import KeyRing
from recsys_assets.local.archive import reading
from recsys_assets.local.backup import back_up, restore
from recsys_assets.local.supervisor import Servers, servers
from recsys_assets.scratch import settle
from recsys_assets.settings import Home, Settings, load_settings, open_home
from recsys_assets.stores import wishes
from recsys_assets.stores.postgres import Postgres
from recsys_assets_tests.conftest import remove_postgres
from recsys_assets_tests.published import Stores
from recsys_assets_tests.serving.running import api, ask, ids

LIVE_AT_BACKUP = 2


class Shop:
    """A home on three databases of the session's Postgres, with a lake, models, two generations and an opt-out."""

    def __init__(self, home: Home, urls: tuple[str, str, str], redis_url: str) -> None:
        self.stores, self.home = Stores(home, urls[0], redis_url), home
        self.servers = Servers(*urls, redis_url)
        self.made = home.path.parent
        self.stores.publish(["stays", "out before", "out later"])
        self.stores.publish(["stays", "out before", "out later"], "b", "a")
        self.stores.suppressions.optout(self.stores.key("out before"))
        for name in ("deliveries/f.json", "clean_events/2024-03-01/part.parquet", "models/als/2024-03-01/a.npz"):
            (home.lake / name).parent.mkdir(parents=True, exist_ok=True)
            (home.lake / name).write_bytes(name.encode() * 1000)
        (home.artifacts / "1/run/artifacts").mkdir(parents=True)
        (home.artifacts / "1/run/artifacts/model.json").write_text("{}")
        with psycopg.connect(urls[2]) as connection:
            connection.execute("CREATE TABLE runs (artifact_uri text)")
            connection.execute("INSERT INTO runs VALUES (%s), ('s3://elsewhere')", [home.artifacts.as_uri() + "/1/run"])
        with psycopg.connect(urls[1]) as connection:
            connection.execute(
                "CREATE TABLE event_logs (id serial, what text); INSERT INTO event_logs (what) VALUES ('x')"
            )

    def back_up(self, name: str = "backup.tar", *, secret: bool = False) -> Path:
        return back_up(self.home, self.servers, self.made / name, str, secret=secret).path

    def export(self, at: datetime | None = None) -> Path:
        made = wishes.exported(Postgres(self.stores.postgres_url), self.home.keys, at or datetime.now(UTC))
        path = self.made / "wishes.json"
        path.write_text(made.text())
        return path

    def new(self, **more: str) -> Settings:
        return load_settings({"RECSYS_HOME": str(self.made / "new home"), **more})

    @property
    def secret(self) -> str:
        return self.home.keys.secret.decode()


def home_mark(shop: Shop, user: str) -> str:
    return shop.home.keys.mark(shop.stores.key(user))


@pytest.fixture
def shop(home: Home, database: Callable[[], str], redis_url: str) -> Shop:
    return Shop(home, (database(), database(), database()), redis_url)


@pytest.fixture
def new_home(shop: Shop) -> Iterator[Path]:
    path = shop.made / "new home"
    yield path
    remove_postgres(path)


def test_what_comes_out_is_what_went_in_and_later_wishes_hold(shop: Shop, new_home: Path) -> None:
    path = shop.back_up()
    assert path.stat().st_mode & 0o777 == 0o600
    shop.stores.publish(["stays", "out later"], "a")  # after the backup: lost with the home
    shop.stores.suppressions.forget(shop.stores.key("out later"))
    with psycopg.connect(shop.stores.postgres_url) as connection:  # as a users file does
        by_file = "INSERT INTO suppressions (mark, kind, version, by_file) VALUES (%s, 'consent', 9, true)"
        connection.execute(by_file, [home_mark(shop, "said no in a file")])
    done = restore(shop.new(), path, shop.export(), shop.secret, str)
    assert (done.live, done.wishes, done.files) == (LIVE_AT_BACKUP, 2, 4)

    settings = shop.new()
    home = open_home(settings)
    assert home.config == shop.home.config
    with tarfile.open(path) as tar:
        members = set(tar.getnames())
    assert "secret" not in members
    for old in (*shop.home.lake.rglob("*"), *shop.home.artifacts.rglob("*")):
        if old.is_file():
            new = home.path / old.relative_to(shop.home.path)
            assert new.read_bytes() == old.read_bytes()
            assert str(old.relative_to(shop.home.path)) in members
    with servers(settings, home) as found:
        restored = Stores(home, found.postgres_url, found.redis_url)
        with api(restored.settings) as client:
            assert ids(ask(client, userId="stays"))[:2] == ["b", "a"]
            for out in ("out before", "out later"):
                answer = ask(client, userId=out)
                assert (answer["fallback"], answer["generation"]) == ("popular", LIVE_AT_BACKUP)
        assert restored.suppressions.marks() == shop.stores.suppressions.marks()
        with pytest.raises(RefusedError, match="cannot bring back"):
            restored.suppressions.optin(restored.key("out later"))
        assert restored.publish(["stays"]).generation > LIVE_AT_BACKUP + 1  # numbers that were used since stay unused
        with psycopg.connect(found.mlflow_postgres_url) as connection:
            places = [row[0] for row in connection.execute("SELECT artifact_uri FROM runs ORDER BY 1")]
        assert places == [home.artifacts.as_uri() + "/1/run", "s3://elsewhere"]
        with psycopg.connect(found.dagster_postgres_url) as connection:
            connection.execute("INSERT INTO event_logs (what) VALUES ('y')")  # sequences go on
            assert connection.execute("SELECT array_agg(id ORDER BY id) FROM event_logs").fetchone() == ([1, 2],)
    with pytest.raises(HomeError, match="is a home already"):
        restore(settings, path, None, shop.secret, str)


def test_a_redis_that_outlived_the_database_still_knows_who_is_out(
    shop: Shop, database: Callable[[], str], new_home: Path
) -> None:
    path = shop.back_up(secret=True)
    shop.stores.suppressions.optout(shop.stores.key("out later"))
    shop.stores.publish(["stays"])
    urls = dict(zip(("RECSYS_POSTGRES_URL", "RECSYS_DAGSTER_POSTGRES_URL", "RECSYS_MLFLOW_POSTGRES_URL"),
                    (database(), database(), database()), strict=True))  # fmt: skip
    settings = shop.new(RECSYS_REDIS_URL=shop.stores.redis_url, **urls)
    done = restore(settings, path, None, "", str)
    assert done.wishes == 1
    after = Stores(open_home(settings), settings.postgres_url, settings.redis_url)
    assert len(after.suppressions.marks()) == 2
    with redis.Redis.from_url(settings.redis_url, decode_responses=True) as client:
        assert json.loads(client.get("recsys:pointer") or "")["generation"] == LIVE_AT_BACKUP
        assert not list(client.scan_iter("recsys:3:*"))
    with api(settings) as client_:
        assert ask(client_, userId="out later")["fallback"] == "popular"
        assert ask(client_, userId="stays")["fallback"] is None
    again = Settings(**{**vars(settings), "home": shop.made / "another"})
    with pytest.raises(RefusedError, match="is not empty"):
        restore(again, path, None, "", str)
    assert not (again.home / "home.toml").exists()


def test_what_does_not_fit_is_refused_before_anything_is_made(shop: Shop) -> None:
    path, settings = shop.back_up(), shop.new()
    with pytest.raises(HomeError, match="without the secret"):
        restore(settings, path, None, "", str)
    with pytest.raises(HomeError, match="not that of the backup"):
        restore(settings, path, None, "another secret, long enough", str)
    with pytest.raises(RefusedError, match="before the backup"):
        restore(settings, path, shop.export(datetime.now(UTC) - timedelta(days=1)), shop.secret, str)
    other = wishes.WishList(datetime.now(UTC), KeyRing(b"another secret, long enough").fingerprint(), ())
    (shop.made / "other.json").write_text(other.text())
    with pytest.raises(SourceError, match="made under another secret"):
        restore(settings, path, shop.made / "other.json", shop.secret, str)
    with pytest.raises(RefusedError, match="never written over"):
        shop.back_up()
    assert not settings.home.exists()
    settings.home.mkdir()
    (settings.home / "something").touch()
    with pytest.raises(HomeError, match="is not empty"):
        restore(settings, path, None, shop.secret, str)


@pytest.mark.parametrize("how", ["cut", "flipped", "nothing", "other", "added"])
def test_a_damaged_backup_is_refused_by_name(shop: Shop, how: str) -> None:
    path = shop.back_up()
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    elif how == "flipped":
        content[content.index(b"models/als/2024-03-01/a.npz" * 3) + 5] ^= 1
    elif how == "nothing":
        content = bytearray()
    elif how == "other":
        content = bytearray(b"this is a text\n" * 1000)
    path.write_bytes(content)
    if how == "added":
        with tarfile.open(path, "a") as tar:
            tar.add(shop.home.path / "home.toml", "../outside")
    with pytest.raises(SourceError, match=r"backup\.tar") as refused:
        restore(shop.new(), path, None, shop.secret, str)
    assert "\n" not in str(refused.value)
    assert not shop.new().home.exists()


def test_a_backup_that_fails_leaves_no_file(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys_assets.errors import StoreError
    from recsys_assets.local import backup

    def gone(_: Home, *, lake: bool) -> Iterator[tuple[str, Path]]:
        yield "lake/x", shop.home.lake / "x"

    monkeypatch.setattr(backup, "_files", gone)  # a job replaces a file between the listing and the reading
    with pytest.raises(StoreError, match="run it again while no job runs"):
        shop.back_up()
    assert [entry.name for entry in shop.made.iterdir()] == [shop.home.path.name]
    away = "postgresql://app:hush@127.0.0.1:1/x"
    without = Servers(away, away, away, shop.stores.redis_url)
    with pytest.raises(StoreError, match="does not answer"):
        back_up(shop.home, without, shop.made / "b.tar", str)
    assert [entry.name for entry in shop.made.iterdir()] == [shop.home.path.name]


def test_a_restore_that_was_cut_off_is_started_again(
    shop: Shop, new_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recsys_assets.local import backup

    path, settings = shop.back_up(), shop.new()

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(backup, "_put_in_order", cut)
        with pytest.raises(KeyboardInterrupt):
            restore(settings, path, None, shop.secret, str)
    with pytest.raises(HomeError, match="not a home yet"):
        open_home(settings)
    assert not settings.home.exists()
    beside = settings.home.with_name(f".{settings.home.name}.{backup.RESTORING}")
    (beside / "lake" / "left over").touch()
    assert restore(settings, path, None, shop.secret, str).live == LIVE_AT_BACKUP
    assert not (settings.home / "lake" / "left over").exists()
    assert not beside.exists()


@pytest.mark.parametrize("mounted", [False, True])
def test_a_kill_while_home_and_lake_take_their_places_is_started_again(
    shop: Shop, new_home: Path, monkeypatch: pytest.MonkeyPatch, *, mounted: bool
) -> None:
    """``mounted``: another disk begins at both, so that nothing can be made beside them and renamed."""
    from recsys_assets.local import backup

    path, lake = shop.back_up(), shop.made / "lake's disk"
    settings, places = shop.new(RECSYS_LAKE_URL=str(lake)), (new_home, lake)
    for place in places if mounted else ():
        place.mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: mounted and path in places)

    def cut_at(name: str) -> Callable[[Path, Path], None]:
        def one(made: Path, target: Path) -> None:
            if target.name == name:
                raise KeyboardInterrupt
            settle(made, target)

        return one

    names = ("models", "postgres", "home.toml") if mounted else (lake.name, new_home.name)
    for name in names:  # each finds what the one before has left
        monkeypatch.setattr(backup, "settle", cut_at(name))
        with pytest.raises(KeyboardInterrupt):
            restore(settings, path, None, shop.secret, str)
        assert not (new_home / "home.toml").exists()
    assert (lake / "models/als/2024-03-01/a.npz").exists()
    monkeypatch.setattr(backup, "settle", settle)
    assert restore(settings, path, None, shop.secret, str).live == LIVE_AT_BACKUP
    assert open_home(settings).config == shop.home.config
    assert {entry.name for entry in lake.iterdir()} == {"deliveries", "clean_events", "models"}
    assert not {"restoring", "appearing", "restore.lock"} & {entry.name for entry in new_home.iterdir()}
    assert not [entry for entry in shop.made.iterdir() if "restoring" in entry.name]
    with pytest.raises(HomeError, match="is a home already"):
        restore(settings, path, None, shop.secret, str)


def test_a_folder_is_no_backup_and_an_error_of_the_restore_is_its_own(shop: Shop) -> None:
    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        restore(shop.new(), shop.made, None, shop.secret, str)
    with pytest.raises(SourceError, match=r"nowhere\.tar cannot be read: No such file"):
        restore(shop.new(), shop.made / "nowhere.tar", None, shop.secret, str)
    with pytest.raises(KeyError, match="ours"), reading(shop.back_up()):
        raise KeyError("ours")


def member(name: str, kind: bytes = tarfile.REGTYPE, **more: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for attribute, value in more.items():
        setattr(info, attribute, value)
    return info


ODD = {
    "a root in the middle": [member("lake//tmp/slipped")],
    "a root": [member("/tmp/slipped")],
    "above": [member("lake/../../slipped")],
    "here": [member("lake/./slipped")],
    "nothing at the end": [member("lake/slipped/")],
    "another system's": [member("lake\\..\\slipped")],
    "a line's end": [member("lake/slip\nped")],
    "long": [member("lake/" + "slipped" * 40)],
    "long in all": [member("lake" + "/slipped" * 200)],
    "a name's twin": [member("lake/slipped"), member("lake/Slipped")],
    "twice": [member("lake/slipped"), member("lake/slipped")],
    "a file as a folder": [member("lake/slipped"), member("lake/slipped/x")],
    "a link": [member("lake/slipped", tarfile.SYMTYPE, linkname="/tmp")],
    "a second name": [member("lake/slipped", tarfile.LNKTYPE, linkname="home.toml")],
    "a device": [member("lake/slipped", tarfile.CHRTYPE)],
    "a pipe": [member("lake/slipped", tarfile.FIFOTYPE)],
    "a folder": [member("lake/slipped", tarfile.DIRTYPE)],
    "another name": [member("lake/fine", pax_headers={"path": "lake/../slipped"})],
    "another owner": [member("lake/slipped", pax_headers={"uname": "root"})],
    "another place": [member("elsewhere/slipped")],
}


@pytest.mark.parametrize("odd", ODD)
def test_a_member_that_leads_elsewhere_is_refused_by_name(shop: Shop, odd: str) -> None:
    """As an attacker makes it: the manifest names the member, with the hash that it has."""
    path, forged = shop.back_up(), shop.made / "forged.tar"
    with tarfile.open(path) as old, tarfile.open(forged, "w", format=tarfile.PAX_FORMAT) as new:
        for info in old.getmembers()[:-1]:
            new.addfile(info, old.extractfile(info))
        told = json.loads((old.extractfile("manifest.json") or io.BytesIO()).read())
        for info in ODD[odd]:
            new.addfile(info, io.BytesIO())
            name = info.pax_headers.get("path", info.name)
            told["members"][name] = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
        text = json.dumps(told).encode()
        new.addfile(member("manifest.json", size=len(text)), io.BytesIO(text))
    before = sorted(shop.made.rglob("*"))
    with pytest.raises(SourceError, match=r"(?i)forged\.tar: .*(slip|fine).* is not a member of a backup"):
        restore(shop.new(), forged, None, shop.secret, str)
    assert sorted(shop.made.rglob("*")) == before
    assert not Path("/tmp/slipped").exists()


@pytest.mark.parametrize("told", [[], {"members": []}, {"members": {}, "format": "1"}, {"members": {"home.toml": 3}}])
def test_a_manifest_of_another_form_is_refused(shop: Shop, told: object) -> None:
    forged, text = shop.made / "forged.tar", json.dumps(told).encode()
    with tarfile.open(forged, "w") as new:
        new.addfile(member("manifest.json", size=len(text)), io.BytesIO(text))
    with pytest.raises(SourceError, match=r"forged\.tar: its manifest\.json"):
        restore(shop.new(), forged, None, shop.secret, str)


def test_a_file_that_no_restore_would_take_stops_the_backup(shop: Shop) -> None:
    (shop.home.lake / "models" / "ALS").mkdir()
    (shop.home.lake / "models" / "ALS" / "a").touch()
    (shop.home.lake / "models" / "als" / "a").touch()
    with pytest.raises(RefusedError, match="'lake/models/als/a' cannot be in a backup"):
        shop.back_up()
    assert [entry.name for entry in shop.made.iterdir()] == [shop.home.path.name]


def test_only_the_owner_may_read_what_was_restored_and_the_lake_may_stand_elsewhere(shop: Shop, new_home: Path) -> None:
    path, lake = shop.back_up(), shop.made / "another disk" / "lake"
    settings = shop.new(RECSYS_LAKE_URL=str(lake))
    lake.mkdir(parents=True)
    (lake / "theirs").touch()
    with pytest.raises(HomeError, match=r"lake is not empty: .*RECSYS_LAKE_URL"):
        restore(settings, path, None, shop.secret, str)
    (lake / "theirs").unlink()
    restore(settings, path, None, shop.secret, str)
    assert (lake / "models/als/2024-03-01/a.npz").stat().st_mode & 0o777 == 0o600
    assert {new_home.stat().st_mode & 0o777, lake.stat().st_mode & 0o777} == {0o700}
    assert (new_home / "home.toml").stat().st_mode & 0o777 == 0o600
    assert not (new_home / "lake").exists()
    assert [entry.name for entry in lake.parent.iterdir()] == ["lake"]
