import pytest

from recsys_assets_tests.assets.conftest import open_shop, programs
from recsys_assets_tests.chaos.rows import NAME, Row, table
from recsys_assets_tests.stores.conftest import stores

__all__ = ["open_shop", "programs", "stores"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the faults have done to readers."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.getreports(kind)]
    reports.sort(key=lambda one: one.start)
    rows = [Row(**told) for one in reports for name, told in one.user_properties if name == NAME]
    if rows:
        terminalreporter.section("readers under faults")
        for line in table(rows):
            terminalreporter.write_line(line)
