import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import psycopg
import pytest

from recsys_assets.errors import HomeError
from recsys_assets.local import server
from recsys_assets.local.postgres import Postgres
from recsys_assets.local.processes import free_port
from recsys_assets.local.valkey import Valkey
from recsys_assets.settings import init_home, load_settings
from recsys_assets_tests.conftest import remove_postgres

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def ports(taken: int) -> Callable[[], int]:
    """First a port that somebody holds, then free ones."""
    first = [taken]
    return lambda: first.pop() if first else free_port()


def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        taken = holder.getsockname()[1]
        database, cache = Postgres(tmp_path), Valkey(tmp_path)
        try:
            for one in (database, cache):
                monkeypatch.setattr(server, "free_port", ports(taken))
                one.start()
            assert f":{taken}/" not in database.url("postgres") + cache.url
        finally:
            cache.stop()
            database.stop()
            remove_postgres(tmp_path)


@as_root
def test_where_namespaces_are_blocked_nobody_runs_it_outside_the_home(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    server = Postgres(tmp_path, way="nobody")
    try:
        for expected in (0, 1):  # the second start finds the first one's data
            server.start()
            with psycopg.connect(server.url("postgres")) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS starts (value int)")
                assert connection.execute("SELECT count(*) FROM starts").fetchone() == (expected,)
                connection.execute("INSERT INTO starts VALUES (1)")
            server.stop()
            server = Postgres(tmp_path)  # the link says which way it was made
        assert (tmp_path / "postgres").readlink().stat().st_uid != 0
        shutil.rmtree((tmp_path / "postgres").readlink().parent)
        with pytest.raises(HomeError, match="which is gone"):
            server.start()
        (tmp_path / "postgres").unlink()
        (tmp_path / "postgres").mkdir()
        with pytest.raises(HomeError, match="was made where user namespaces work"):
            Postgres(tmp_path, way="nobody").start()
    finally:
        server.stop()
        remove_postgres(tmp_path)


@as_root
def test_a_copied_home_is_refused_the_originals_data_and_a_moved_one_keeps_them(tmp_path: Path) -> None:
    original, copy, moved = (tmp_path / name for name in ("original", "copy", "moved"))
    original.mkdir()
    server = Postgres(original, way="nobody")
    try:
        server.start()
        shutil.copytree(original, copy, symlinks=True)
        with pytest.raises(HomeError, match=rf"{copy} is a copy: .* the data of {original}\. .*recsys restore"):
            Postgres(copy).start()
        with psycopg.connect(server.url("postgres")) as connection:  # it was not stopped
            connection.execute("CREATE TABLE kept AS SELECT 1")
        server.stop()
        original.rename(moved)
        server = Postgres(moved)
        server.start()
        with psycopg.connect(server.url("postgres")) as connection:
            assert connection.execute("SELECT * FROM kept").fetchall() == [(1,)]
        with pytest.raises(HomeError, match=f"the data of {moved}"):
            Postgres(copy).start()
    finally:
        server.stop()
        remove_postgres(moved if moved.exists() else original)


@as_root
def test_an_ordinary_user_needs_nothing_special() -> None:
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", "HOME=/nonexistent"]
    root = Path(__file__).parents[2]
    reach = [*as_nobody, sys.executable, "-c", "import recsys_assets.local.supervisor"]
    if shutil.which("setpriv") is None or subprocess.run(reach, cwd=root, capture_output=True, check=False).returncode:
        pytest.skip("an ordinary user cannot read this checkout")
    with tempfile.TemporaryDirectory(prefix="a shop ") as folder:
        settings = load_settings({"RECSYS_HOME": folder})
        init_home(settings, first_day=date(2024, 1, 1), time_zone="UTC", currency="EUR")
        for path in (Path(folder), *Path(folder).rglob("*")):
            shutil.chown(path, "nobody")
        command = [*as_nobody, sys.executable, "-m", "recsys_assets_tests.local.owner", folder]
        done = subprocess.run(command, cwd=root, input="", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "postgres" in done.stdout
