"""Run by the tests as a process of its own: holds the servers of a home until its standard input ends."""

import json
import signal
import sys

from recsys_assets.local import processes
from recsys_assets.local.supervisor import running, servers
from recsys_assets.settings import load_settings, open_home


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with it ignored
    if "orphans" in sys.argv:
        processes._LIBC = None  # as on a system that does not end children with their parent
    settings = load_settings({"RECSYS_HOME": sys.argv[1]})
    home = open_home(settings)
    with servers(settings, home):
        state = running(home)
        assert state is not None
        sys.stdout.write(json.dumps({process.name: process.pid for process in state.processes}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
