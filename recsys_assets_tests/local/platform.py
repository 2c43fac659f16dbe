"""Run by the tests as a process of its own: `recsys up` on a home, with small programs in place of the real ones."""

import signal
import sys

import pytest

from recsys_assets.commands.home import list_readable
from recsys_assets.local import up
from recsys_assets.local.processes import Program, free_port
from recsys_assets.settings import Home, Settings, load_settings, open_home


def services(_settings: Settings, home: Home, environment: dict[str, str]) -> list[up._Service]:
    found = []
    for name in up.PROGRAMS:
        port = free_port()
        command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
        if name in sys.argv:
            command = [sys.executable, "-c", "raise SystemExit('it cannot')"]
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
        up.up(settings, open_home(settings), say, list_readable)


if __name__ == "__main__":
    main()
