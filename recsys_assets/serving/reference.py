"""`/docs`: the OpenAPI document for people, as one page that loads nothing from anywhere.

FastAPI's own page takes its scripts from a public network, and stays white in a browser that does not reach it.
"""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.6rem; }} h2 {{ font-size: 1.2rem; margin-top: 2.5rem; }} h3 {{ font-size: 1rem; }}
details {{ border: 1px solid #ccc; border-radius: 4px; margin: .5rem 0; padding: .4rem .8rem; }}
summary {{ cursor: pointer; }} code, pre {{ font: 14px/1.4 ui-monospace, monospace; }}
pre {{ background: #f4f4f4; padding: .6rem; overflow-x: auto; }}
.method {{ font-weight: bold; display: inline-block; min-width: 4.5rem; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #eee; }}
</style>
</head>
<body>
<h1>{title} <small>{version}</small></h1>
<p>{description}</p>
<p>For programs: <a href="openapi.json">openapi.json</a></p>
{groups}
</body>
</html>
"""


def page(document: dict[str, Any]) -> str:
    """HTML of an OpenAPI document: operations by their first tag, in the document's order of tags."""
    groups = "".join(
        f'<h2 id="{escape(tag["name"])}">{escape(tag["name"].capitalize())}</h2>'
        f"<p>{escape(tag['description'])}</p>" + found
        for tag in document["tags"]
        if (found := "".join(_operations(document, tag["name"])))
    )
    info = {name: escape(document["info"][name]) for name in ("title", "version", "description")}
    info["description"] = info["description"].replace("\n\n", "</p><p>")
    return _PAGE.format(**info, groups=groups)


def _operations(document: dict[str, Any], tag: str) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["tags"][0] == tag:
                says = escape(operation.get("description", "")).replace("\n\n", "</p><p>")
                yield (
                    f'<details id="{escape(operation["operationId"])}"><summary><span class="method">{method.upper()}'
                    f"</span><code>{escape(path)}</code></summary><p>{says}</p>"
                    + _parameters(operation.get("parameters", []))
                    + _body(operation)
                    + "".join(_responses(operation))
                    + "</details>"
                )


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{one['in']}</td><td>{escape(one['description'])}"
        + (f" Default: <code>{escape(str(one['schema']['default']))}</code>." if "default" in one["schema"] else "")
        + "</td></tr>"
        for one in parameters
    )
    return f"<table><tr><th>Parameter</th><th>In</th><th></th></tr>{rows}</table>" if rows else ""


def _body(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    return "".join(f"<h3>Body: {escape(kind)}</h3>{_example(value)}" for kind, value in content.items())


def _responses(operation: dict[str, Any]) -> Iterator[str]:
    for status, response in operation["responses"].items():
        for kind, value in response.get("content", {}).items():
            yield f"<h3>{status}: {escape(response['description'])} {escape(kind)}</h3>{_example(value)}"


def _example(content: dict[str, Any]) -> str:
    if "example" not in content:
        return ""
    example = content["example"]
    shown = example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
    return f"<pre>{escape(shown)}</pre>"
