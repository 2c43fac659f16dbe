"""The API as a process: ``python -m recsys_assets.serving --host 127.0.0.1 --port 8000``.

uvicorn's own access log stays off: it would hold the ids that were asked for.
"""

import argparse
import resource
import sys
from contextlib import suppress

import uvicorn

from recsys_assets.errors import RecsysError
from recsys_assets.serving.wire import config
from recsys_assets.settings import load_settings

NOT_STARTED = 3  # as uvicorn has it


def main() -> None:
    """Serves until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m recsys_assets.serving", description="The HTTP API of one home.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--grace", type=int, default=10, help="seconds at the end for answers that are being made")
    told = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS has a lower limit than the one that it names
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection is a file, and 1,024 are few
    try:
        made = config(
            "recsys_assets.serving.app:create", load_settings().trusted_proxies, factory=True, host=told.host,
            port=told.port, timeout_graceful_shutdown=told.grace,
        )  # fmt: skip
        server = uvicorn.Server(made)
        with suppress(KeyboardInterrupt):  # raised again once it has ended in order
            server.run()
    except RecsysError as error:
        sys.exit(str(error))
    if not server.started:
        sys.exit(NOT_STARTED)


if __name__ == "__main__":
    main()
