"""`recsys alert test`: does an alert arrive?"""

from datetime import UTC, datetime

import click

from recsys_assets.commands.home import context
from recsys_assets.commands.output import JSON, WholeHelps, print_json
from recsys_assets.errors import SettingsError
from recsys_assets.logic.alerts import Alert, Failure
from recsys_assets.stores.alerts import ways


@click.group(cls=WholeHelps)
def alert() -> None:
    """Messages about failed runs."""


@alert.command("test")
@JSON
def test_command(as_json: bool) -> None:
    """Send a message over every way that is set, now."""
    settings, home = context()
    found = ways(settings)
    if not found:
        raise SettingsError("no way is set: RECSYS_ALERT_WEBHOOK, or RECSYS_ALERT_EMAIL with RECSYS_SMTP_URL.")
    day = datetime.now(UTC).date().isoformat()
    failures = (Failure("nothing", "a test of `recsys alert test`; no run has failed"),)
    trial = Alert(
        home.config.shop_name, "test", day, "none", failures, "what is live was not looked at", settings.dagster_url
    )
    for name, send in found.items():
        send(trial)
        if not as_json:
            print(f"sent by {name}")
    if as_json:
        print_json({"sent": list(found)})


COMMANDS = (alert,)
