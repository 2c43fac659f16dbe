"""Every operation of the API's document, as requests to send, and a shop that knows the document's examples."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from recsys_assets.settings import Settings, load_settings
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.tokens import SCOPES, Tokens
from recsys_assets_tests.published import Stores, frames
from recsys_assets_tests.serving.raw import Raw, request, send

DAY = date(2017, 12, 30)
PEOPLE, PRODUCTS = ("2375", "1130"), ("1082185", "995242", "a")
UNLIMITED = {"RECSYS_API_READS_PER_SECOND": "0", "RECSYS_API_WRITES_PER_SECOND": "0", "RECSYS_REQUEST_LOG": "off"}
METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


def settings(stores: Stores) -> Settings:
    """Of an API that lets one client ask as often as it likes."""
    return load_settings(stores.environment | UNLIMITED)


def filled(stores: Stores, *more: str) -> str:
    """Publishes lists of the people and products of the document's examples; a token that may do everything.

    ``more`` are ids of further people, and of further products too.
    """
    keys = [*map(stores.key, (*PEOPLE, *more)), stores.home.keys.anon_key("cookie-7")]
    stores.publisher.publish(DAY, frames(keys, (*PRODUCTS, *more)), model_version="1", keep=5)
    return Tokens(Postgres(stores.postgres_url)).make("tests", SCOPES, timedelta(days=1)).token


@dataclass(frozen=True)
class Operation:
    """One method of one path; ``body`` is an example of what it takes, None where it takes none."""

    method: str
    path: str
    parameters: tuple[dict[str, Any], ...]
    body: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def named(self, place: str) -> list[dict[str, Any]]:
        """Its parameters in the path or the query."""
        return [parameter for parameter in self.parameters if parameter["in"] == place]

    def matches(self, path: str) -> bool:
        """Whether it would answer another path of the document, too."""
        pattern = re.sub(r"\\{.*?\\}", ".*", re.escape(self.path))
        return re.fullmatch(pattern, path) is not None

    def target(self, query: str = "", **ids: str) -> str:
        """Path and query as they go over the wire: examples in the path, but for ``ids``, which are encoded already."""
        path = self.path
        for parameter in self.named("path"):
            name = parameter["name"]
            path = path.replace("{" + name + "}", ids.get(name, quote(str(parameter["example"]), safe="")))
        return path + ("?" + query if query else "")


def operations(document: dict[str, Any]) -> list[Operation]:
    """Every one of the document."""
    return list(_operations(document))


def _operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                said = item[method]
                content = said.get("requestBody", {}).get("content", {})
                assert set(content) <= {"application/json"}, f"{path} takes {set(content)}"
                body = content["application/json"]["example"] if content else None
                yield Operation(method.upper(), path, tuple(said.get("parameters", ())), body)


@dataclass(frozen=True)
class Service:
    """The process, what is sent to it, and its log."""

    stores: Stores
    port: int
    token: str
    client: httpx.Client
    log: Path
    operations: list[Operation]
    document: dict[str, Any]

    def send(self, operation: Operation, target: str, body: bytes | None = None, **headers: str) -> Raw:
        """One request with a token; the operation's own example is the body, unless there is another."""
        if body is None and operation.body is not None:
            body = json.dumps(operation.body).encode()
        if body is not None:
            headers = {"Content_Type": "application/json"} | headers
        headers |= {"Authorization": f"Bearer {self.token}"}
        (answer,) = send(self.port, request(operation.method, target.encode(), body, **headers))
        return answer

    def fields(self, operation: Operation) -> dict[str, dict[str, Any]]:
        """Schemas of the fields of its body."""
        schema = self.document["paths"][operation.path][operation.method.lower()]["requestBody"]["content"]
        found: dict[str, dict[str, Any]] = self.resolved(schema["application/json"]["schema"])["properties"]
        return found

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A schema, wherever in the document it stands."""
        while "$ref" in schema:
            found: Any = self.document
            for name in schema["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            schema = found
        return schema
