"""Files that appear whole: what a killed writer leaves is found and removed, what a living one makes is not."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from recsys_assets.errors import RefusedError, SettingsError
from recsys_assets.scratch import beside, clear, clear_below, create, replacing, scratch, settle_all, write_out

WRITER = """
import sys
from pathlib import Path
from recsys_assets.scratch import replacing
root = Path(sys.argv[1])
with replacing(root / "table/day/part", root) as made:
    made.write_text("half of a person")
    print("written", flush=True)
    sys.stdin.read()
"""


def writer(root: Path) -> subprocess.Popen[str]:
    """A process in the middle of writing a file."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


def test_what_a_killed_writer_leaves_goes_and_a_living_one_keeps_its_own(tmp_path: Path) -> None:
    living, killed = writer(tmp_path), writer(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(list(tmp_path.rglob("made"))) == 2
    assert clear_below(tmp_path) == 1
    assert clear_below(tmp_path) == 0
    assert living.communicate("go on")[0] == ""
    assert (tmp_path / "table/day/part").read_text() == "half of a person"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "table/day/part"]


STRANGER = """
import os, sys
from pathlib import Path
from recsys_assets.local.doctor import _whole
from recsys_assets.scratch import TEMPORARY, clear
from recsys_assets.settings import init_home, load_settings
home = Path(sys.argv[1])
os.mkdir(home / f"{TEMPORARY}roots", 0o700)
os.setgid(65534), os.setuid(65534)
from datetime import date
made = init_home(load_settings({"RECSYS_HOME": str(home)}), first_day=date(2024, 1, 1), time_zone="UTC", currency="EUR")
(home / f"{TEMPORARY}ours").mkdir()
assert clear(home) == 1
for one in _whole(made):
    print(one.level, one.said, one.todo)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave what is root's")
def test_what_another_user_left_is_named_and_holds_nothing_up() -> None:
    with tempfile.TemporaryDirectory() as home:
        shutil.chown(home, 65534)
        done = subprocess.run(
            [sys.executable, "-c", STRANGER, home], capture_output=True, text=True, check=False, timeout=120
        )
        assert f"{home}/.recsys-tmp-roots cannot be removed: Permission denied" in done.stderr
        (line,) = done.stdout.splitlines()
        assert line.startswith(f"fail {home}/.recsys-tmp-roots is another user's and stays")
        assert f"rm -r {home}/.recsys-tmp-roots, as its owner" in line


def test_an_error_leaves_the_file_of_before_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("before")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file", tmp_path) as made:
        made.rename(tmp_path / "nowhere" / "file")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "before")]


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_out(tmp_path / "new/folder/file", "text")
        with scratch(tmp_path) as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").rglob("*")}
    assert modes == {"folder": 0o700, "file": 0o600}


@pytest.mark.parametrize("what", ["link", "folder"])
def test_what_is_in_the_way_is_refused_and_stays(tmp_path: Path, what: str) -> None:
    other, out = tmp_path / "other", tmp_path / "out"
    other.write_text("somebody's")
    out.symlink_to(other) if what == "link" else out.mkdir()
    with pytest.raises(RefusedError, match=f"is a {what}, which is not written over"):
        write_out(out, "ours")
    assert other.read_text() == "somebody's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]


def test_a_file_that_is_there_is_replaced_by_a_private_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("open to all")
    out.chmod(0o644)
    os.link(out, tmp_path / "another name")
    write_out(out, "ours")
    assert (out.read_text(), out.stat().st_mode & 0o777) == ("ours", 0o600)
    assert (tmp_path / "another name").read_text() == "open to all"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"file/out cannot be written: Not a directory\."):
        write_out(tmp_path / "file/out", "")
    with (
        pytest.raises(SettingsError, match=r"cannot be written: No such file or directory \(nowhere\)"),
        beside(tmp_path / "out"),
    ):
        Path("nowhere").read_text()


def test_a_link_that_looks_like_a_scratch_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious/deep").mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/.recsys-tmp-x").symlink_to(tmp_path / "precious")
    assert clear(tmp_path / "shared") == 0
    assert (tmp_path / "precious/deep").is_dir()


def test_files_are_on_the_disk_before_any_of_them_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[tuple[str, int]] = set()
    fsync, paths = os.fsync, [tmp_path / "table" / str(day) / "part" for day in range(3)]

    def told(handle: int) -> None:
        synced.add((Path(f"/proc/self/fd/{handle}").readlink().name, sum(path.exists() for path in paths)))
        fsync(handle)

    with scratch(tmp_path) as folder:
        made = {path: create(folder / f"made {path.parent.name}") for path in paths}
        monkeypatch.setattr(os, "fsync", told)
        settle_all(made)
    folders = (tmp_path.name, "table", "0", "1", "2")
    assert synced == {*((f"made {day}", 0) for day in range(3)), *((name, 3) for name in folders)}
