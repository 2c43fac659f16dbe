import os
import shutil
import socket
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import psycopg
import pytest

from recsys_assets.errors import HomeError
from recsys_assets.local.ports import Ports
from recsys_assets.local.postgres import Postgres
from recsys_assets.local.valkey import Valkey
from recsys_assets.settings import init_home, load_settings
from recsys_assets_tests.conftest import remove_postgres

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def test_ports_stay_from_start_to_start_and_one_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    def once() -> dict[str, int]:
        """Where both listen in one life."""
        servers = (Postgres(tmp_path), Valkey(tmp_path))
        try:
            for server in servers:
                server.start()
            with psycopg.connect(servers[0].url("postgres")) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            return {server.name: server.port for server in servers}
        finally:
            for server in servers:
                server.stop()

    try:
        first = once()
        assert once() == first == Ports(tmp_path).kept()
        with socket.create_server(("127.0.0.1", first["postgres"])):
            other = once()
        assert other["postgres"] != first["postgres"]
        assert other["valkey"] == first["valkey"]
        said = Ports(tmp_path).moved("postgres", other["postgres"])
        own = first["postgres"]
        assert said == f"postgres has port {other['postgres']} this time: its own, {own}, is taken by another program"
        assert once() == first  # the home's own again
        assert Ports(tmp_path).moved("postgres", first["postgres"]) is None
    finally:
        remove_postgres(tmp_path)


def test_a_damaged_file_of_ports_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("[1")
    port = Ports(tmp_path).port("api")
    assert Ports(tmp_path).port("api") == port
    (tmp_path / "ports.json").write_text("[1]")
    assert Ports(tmp_path).kept() == {}


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
