"""Pages that the nights write, for a browser on this machine: ``uvicorn --factory recsys_assets.serving.pages:create``.

Files below two folders of the home and nothing else: no listings, no way out of them, and GET and HEAD alone.
"""

from html import escape
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from recsys_assets.settings import Home, Settings, load_settings, open_home

_INDEX = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{shop}: pages</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.4rem; }}
li {{ margin: 1rem 0; }}
p {{ margin: 0; }}
.missing {{ color: #8a4b00; }}
</style>
</head>
<body>
<h1>{shop}</h1>
<ul>
{items}
</ul>
</body>
</html>
"""
_PAGES = (
    ("data-docs", "Data docs", "What was checked on every day of events, and what failed.", "history"),
    ("dbt", "Marts", "Every view for BI: its columns, its tests, what it is made of.", "daily"),
)


def create(settings: Settings | None = None) -> Starlette:
    """The application of one home.

    Raises:
        SettingsError: a setting is wrong.
        HomeError: the home cannot be opened.
    """
    home = open_home(settings or load_settings())
    folders = _folders(home)
    for folder in folders.values():  # the first run may come after us
        folder.mkdir(exist_ok=True)

    async def index(_: Request) -> Response:
        return HTMLResponse(_INDEX.format(shop=escape(home.config.shop_name), items=_items(home)))

    async def missing(request: Request, _: Exception) -> Response:
        """What has not been written yet is explained on the first page."""
        if request.url.path.strip("/") in folders:
            return RedirectResponse("/", status_code=307)
        return HTMLResponse("<p>There is no such page. <a href='/'>All pages</a></p>", status_code=404)

    return Starlette(
        routes=[
            Route("/", index),
            *(Mount(f"/{name}", StaticFiles(directory=folder, html=True)) for name, folder in folders.items()),
        ],
        exception_handlers={404: missing},
    )


def _folders(home: Home) -> dict[str, Path]:
    return {"data-docs": home.data_docs, "dbt": home.dbt_docs}


def _items(home: Home) -> str:
    folders = _folders(home)
    lines = []
    for name, title, what, job in _PAGES:
        if (folders[name] / "index.html").exists():
            lines.append(f'<li><a href="/{name}/">{title}</a><p>{what}</p></li>')
        else:
            lines.append(
                f'<li>{title}<p>{what}</p><p class="missing">Not there yet: the first <code>recsys run {job}</code> '
                "writes it.</p></li>"
            )
    return "\n".join(lines)
