"""`recsys migrate`: a home and its database, brought to this program's versions."""

import sys

import click

from recsys_assets.commands.output import JSON, print_json
from recsys_assets.local.layout import migrate_home
from recsys_assets.local.supervisor import servers
from recsys_assets.settings import LAYOUT_VERSION, home_layout, load_settings, open_home
from recsys_assets.stores.postgres import Postgres, newest_schema, schema_version


@click.command()
@click.option("--check", is_flag=True, help="Only tell; exit code 1 where something is to be done.")
@JSON
def migrate(check: bool, as_json: bool) -> None:
    """Bring the home's layout and the database's schema to this program's versions; there is no way back."""
    settings = load_settings()
    layout = home_layout(settings.home)
    told: dict[str, dict[str, int | None]] = {"layout": {"before": layout, "program": LAYOUT_VERSION}}
    if not check or layout > LAYOUT_VERSION:  # a newer one is refused
        migrate_home(settings.home)
    schema: int | None = None  # a home of an older layout is not opened, so its schema cannot be told
    if not check or layout == LAYOUT_VERSION:
        with servers(settings, open_home(settings)) as found:
            postgres = Postgres(found.postgres_url)
            with postgres.connect() as connection:
                schema = schema_version(connection)
            if not check:
                postgres.migrate()
    told["schema"] = {"before": schema, "program": newest_schema()}
    behind = any(each["before"] != each["program"] for each in told.values())
    if as_json:
        print_json({**told, "done": not check or not behind})
    else:
        for what, each in told.items():
            print(f"{what:<7} {_line(each['before'], each['program'], check)}")
    if check and behind:
        sys.exit(1)


def _line(before: int | None, program: int | None, check: bool) -> str:
    if before == program:
        return f"{program}, which is this program's"
    if before is None:
        return f"not looked at before the layout is brought up to date; this program's is {program}"
    return f"{before}, to be brought to {program}" if check else f"{before} → {program}"


COMMANDS = (migrate,)
