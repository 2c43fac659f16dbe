"""The API as `recsys up` starts it: what it logs, and how it ends."""

import signal
import socket
import sys
from collections.abc import Iterator

import httpx
import pytest

from recsys_assets.local import up
from recsys_assets.local.processes import Child, wait_until
from recsys_assets.local.supervisor import platform_environment, servers
from recsys_assets_tests.published import Stores


@pytest.fixture
def service(stores: Stores) -> Iterator[tuple[Child, int]]:
    stores.publish(["somebody"])
    settings = stores.settings
    with servers(settings, stores.home) as found:
        environment = platform_environment(settings, stores.home, found)
    wanted = next(s for s in up._services(settings, stores.home, environment) if s.program.name == "api")
    child = Child(wanted.program)
    try:
        yield child, wanted.port
    finally:
        child.stop()


def test_no_id_and_no_key_is_logged_and_sigterm_ends_it_in_order(stores: Stores, service: tuple[Child, int]) -> None:
    child, port = service
    asked = (
        "userId=somebody",
        "anonId=some-cookie",
        "userId=somebody&limit=x",
        "userId=%ff",
        "nobody=1",
        "productId=some-product",
    )

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    assert wait_until(answers, 60), child.tail()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        for query in asked:
            assert client.get(f"/api/recommendations?{query}").status_code in (200, 400)
        assert client.get("/api/recommendations/somebody").status_code == 404
        child._popen.send_signal(signal.SIGTERM)  # while a connection is kept alive
        assert wait_until(lambda: child.exit_code() is not None, 20)
    log = child.program.log.read_text()
    assert "Application shutdown complete" in log
    assert "Traceback" not in log
    for secret in ("somebody", "some-cookie", "some-product", stores.key("somebody"), "userId", "anonId"):
        assert secret not in log
    assert child.exit_code() in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
    assert sys.executable in child.program.command
