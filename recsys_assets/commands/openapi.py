"""`recsys openapi`: the API's OpenAPI document, for programs that make typed clients of it."""

import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path

import click

from recsys_assets.commands.output import JSON, print_json
from recsys_assets.settings import init_home, load_settings

# A document says what is asked and answered, the same for every shop: a home of a moment and addresses of nobody
# stand in, and nothing connects to them.
_POSTGRES, _REDIS = "postgresql://nobody@127.0.0.1:1/none", "redis://127.0.0.1:1/0"


@click.command()
@JSON
def openapi(as_json: bool) -> None:  # noqa: ARG001 - a document is JSON in any case
    """Print the API's OpenAPI document; needs no home and no servers."""
    from recsys_assets.serving.app import create

    with tempfile.TemporaryDirectory() as folder:
        settings = replace(load_settings(), home=Path(folder), postgres_url=_POSTGRES, redis_url=_REDIS)
        init_home(settings, first_day=date(2024, 1, 1), time_zone="UTC", currency="EUR")
        document = create(settings).openapi()
    print_json(document)


COMMANDS = (openapi,)
