"""Run by the tests as a process of its own: `recsys up` on a home, with small programs in place of the real ones."""

import signal
import sys

import pytest

from recsys_assets.commands.home import list_readable
from recsys_assets.local import restarts, up
from recsys_assets.local.processes import Program, free_port
from recsys_assets.settings import Home, Settings, load_settings, open_home

ONCE = """
import http.server, pathlib, sys
pathlib.Path(sys.argv[2]).touch(exist_ok=False)  # a second start fails
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).handle_request()
"""


def services(_settings: Settings, home: Home, environment: dict[str, str]) -> list[up._Service]:
    found = []
    for name in up.PROGRAMS:
        port = free_port()
        command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
        if name in sys.argv:
            command = [sys.executable, "-c", "raise SystemExit('it cannot')"]
        if name == "api" and "often" in sys.argv:  # it answers once
            command = [sys.executable, "-c", ONCE, str(port), str(home.path / "once")]
        found.append(up._Service(name, Program(name, tuple(command), home.logs / f"{name}.log", environment), port))
    return found


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with it ignored
    settings = load_settings({"RECSYS_HOME": sys.argv[1]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(up, "_services", services)
        patch.setattr(restarts, "FIRST_PAUSE", 0.05)
        if "impatient" in sys.argv:
            patch.setattr(restarts, "RESTARTS", 0)
        up.up(settings, open_home(settings), say, list_readable)


if __name__ == "__main__":
    main()
