"""Every line of README and pages that somebody may copy is run: SQL, commands, requests, JSON, templates, TOML, Python.

A block of a language that nothing here knows fails, and so does a command that is neither run nor listed with a reason.
"""

import argparse
import csv
import json
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import click
import httpx
import jinja2
import jsonschema  # type: ignore[import-untyped] # no types are installed for it
import polars as pl
import psycopg
import pytest
from click.testing import CliRunner

from recsys_assets.cli import recsys
from recsys_assets.importers.mapping import MappingFile
from recsys_assets.logic import reason_texts
from recsys_assets.logic.choices import Choices
from recsys_assets.logic.emails import Offer, Order, Sender, environment, variables
from recsys_assets.serving.recommendations import CART_REASON, SESSION_REASON
from recsys_assets.settings import CHECKOUT, Home, HomeConfig
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.tokens import SCOPES, Tokens
from recsys_assets.tables import (
    CANDIDATES,
    CATALOG,
    CLEAN_EVENTS,
    EVALUATION,
    INTERACTIONS,
    ITEM_STATS,
    LISTS,
    MICROS,
    PLANS,
    REPURCHASE_CYCLES,
    RULE_EFFECTS,
    USER_PROFILES,
)
from recsys_assets_tests.pages import PAGES, README, Block, Call, blocks, calls, cron_calls, inline
from recsys_assets_tests.planned import with_plans
from recsys_assets_tests.published import Stores, frame
from recsys_assets_tests.readme import commands_of, knob_names
from recsys_assets_tests.serving.running import api

DAY = date(2026, 11, 20)
PEOPLE, PRODUCTS = ("2375", "u-7"), ("a", "b", "c", "d", "e", "f")
NAMED = ("1082185", "995242", "1036501", "1133018", "p-3", "p-7", "p-9", "p-12", "p-31")
BY_NAME = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)

# Commands that are only parsed, by click itself, and why they are not run here.
PARSED = {
    "up": "serves until Ctrl-C; local/test_up.py runs it",
    "demo": "takes minutes",
    "run history": "Dagster runs of minutes; assets/ runs them",
    "run daily": "as run history",
    "run search": "as run history",
    "search undo": "needs a search that was adopted; commands/test_search.py runs it",
    "run erase": "as run history; assets/test_people.py runs it",
    "benchmark shop": "reads a shop's whole history; benchmark/test_shop.py runs it",
    "ingest sql": "reads a database that is not there; importers/test_sql.py runs it",
    "restore": "takes databases of its own; local/test_backup.py runs it",
    "backup": "as restore",
    "alert test": "needs somebody who receives; assets/test_alerts.py runs it",
}
# Programs of others, and what is looked at instead.
OTHERS: dict[str, Callable[[Call], None]] = {
    "make": lambda call: make(call.words[1:]),
    "cp": lambda call: exists(call.words[1]),
    "docker": lambda call: exists("docker-compose.yml"),  # test_containers.py runs every command in it
    "python3": lambda call: None,
}
# Words that stand for something of the reader's own.
EXAMPLES = {
    "USER": "2375", "PRODUCT": "b", "AMOUNT": "2.49", "DATE": "2026-01-05",
    "ID": "RECEIPT", "0f8d3c5e-9a7b-4d6c-8e1f-2a3b4c5d6e7f": "RECEIPT",
    "FILE": "stock.csv", "FOLDER": "made", "PATH": "sales.csv", "EVENTS": "sales.csv", "CATALOGUE": "sales.csv",
    "shop.toml": "sales.toml", "orders.toml": "sales.toml",
}  # fmt: skip
# A made shop of any size has the same files.
SMALLER = {"--users": "20", "--products": "20", "--days": "8"}


def make(targets: list[str]) -> None:
    done = subprocess.run(["make", "-n", *targets], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def exists(name: str) -> None:
    assert (CHECKOUT / name).exists(), f"there is no {name}"


class Reader:
    """Somebody who reads a page beside a home with a published day, and types what it says."""

    def __init__(self, stores: Stores, folder: Path, more: ExitStack) -> None:
        self._stores, self._folder, self._more = stores, folder, more
        self._receipt: str | None = None
        self._restored: str | None = None
        self.answers: list[Any] = []

    @cached_property
    def _api(self) -> httpx.Client:
        return self._more.enter_context(api(self._stores.settings))

    @cached_property
    def _token(self) -> str:
        return Tokens(Postgres(self._stores.postgres_url)).make("reader", SCOPES, timedelta(days=1)).token

    def follow(self, call: Call) -> None:
        """Runs one command as far as it can be run here."""
        program = call.words[0].rpartition("/")[2]
        if program == "recsys":
            self._recsys(call)
        elif program == "curl":
            self._curl(call.words[1:])
        elif program == "eval":
            (inner,) = calls(call.words[1].removeprefix("$(").removesuffix(")"))
            self.follow(inner)
        else:
            assert program in OTHERS, f"nothing here knows how to run {program}"
            OTHERS[program](call)

    def _recsys(self, call: Call) -> None:
        words = [self._own(word) for word in call.words[1:]]
        for name, value in SMALLER.items():
            if name in words:
                words[words.index(name) + 1] = value
        variables = {name: self._own(value) for name, value in call.environment.items() if name.startswith("RECSYS_")}
        command, path, rest = named(words)
        if path in PARSED:
            parsed(command, path, rest)
            self._restored = variables["RECSYS_HOME"] if path == "restore" and rest else None
            return
        if variables.get("RECSYS_HOME") == self._restored:
            variables.pop("RECSYS_HOME", None)  # what follows a restore finds the home that was restored
        if isinstance(command, click.Group) or (not rest and wants_more(command)):
            words = [*path.split(), "--help"]  # the page speaks of it, and does not show how it is called
        done = CliRunner().invoke(recsys, words, env=self._stores.environment | variables, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        if found := re.search(r"receipt: (\S+)", done.output):
            self._receipt = found[1]

    def _own(self, word: str) -> str:
        """The word with the reader's own files, folders and ids in it; every folder is below the reader's."""
        if EXAMPLES.get(word, word) == "RECEIPT":
            return self._receipt or str(self._stores.suppressions.optout(self._stores.key("nobody")).receipt)
        prefix, equals, path = word.rpartition("=")
        own = EXAMPLES.get(path, path)
        if own.startswith(("/", "~/")):
            own = str(self._folder / own.lstrip("~/"))
            Path(own).parent.mkdir(parents=True, exist_ok=True)
        return prefix + equals + own

    def _curl(self, words: list[str]) -> None:
        parser = argparse.ArgumentParser(exit_on_error=False)
        parser.add_argument("-X", dest="method")
        parser.add_argument("-H", dest="headers", action="append", default=[])
        parser.add_argument("--json")
        parser.add_argument("url")
        asked = parser.parse_args([word.replace("$API", "").replace("$TOKEN", self._token) for word in words])
        body = None if asked.json is None else json.loads(asked.json)
        self.request(
            asked.method or ("GET" if body is None else "POST"),
            asked.url,
            body,
            dict(header.split(": ", 1) for header in asked.headers),
        )

    def request(self, method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> None:
        """One request to the real API, which has to be answered well."""
        answer = self._api.request(method, url, json=body, headers=headers)
        assert answer.status_code in (200, 202), (url, answer.text)
        self.answers.append(answer.json())

    def document(self) -> dict[str, Any]:
        """The API's own description."""
        found: dict[str, Any] = self._api.get("/openapi.json").json()
        return found

    def sql(self, text: str) -> None:
        """One query or more of an analyst."""
        with psycopg.connect(self._stores.postgres_url) as connection:
            connection.read_only = True
            for query in filter(str.strip, text.split(";")):
                assert connection.execute(query.encode()).fetchall(), f"no row: {query}"

    def python(self, text: str) -> None:
        """A piece of a notebook; HOME is the reader's."""
        exec(text.replace("HOME/", f"{self._stores.home.path}/"), {})


def named(words: list[str]) -> tuple[click.Command, str, list[str]]:
    """The command that words name, its path below `recsys`, and the words after it."""
    command: click.Command = recsys
    for place, word in enumerate(words):
        if not isinstance(command, click.Group) or word.startswith("-"):
            return command, " ".join(words[:place]), words[place:]
        assert word in commands_of(command), f"{command.name} has no command {word}"
        command = commands_of(command)[word]
        if command.name == "ingest" and words[place + 1 : place + 2] == ["sql"]:
            return command, "ingest sql", words[place + 1 :]
    return command, " ".join(words), []


def wants_more(command: click.Command) -> bool:
    return any(parameter.required for parameter in command.params)


def parsed(command: click.Command, path: str, rest: list[str]) -> None:
    """Has click parse what follows a command, types included; a bare name of it is a mention."""
    if rest or not wants_more(command):
        command.make_context(path, list(rest))


@pytest.fixture
def stores(home: Home, database: Callable[[], str], redis_url: str) -> Stores:
    """A home on an empty database and an empty Redis."""
    return Stores(home, database(), redis_url)


@pytest.fixture
def reader(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Two generations are live one after the other, and what the pages call files of the shop is there."""
    fill(stores)
    folder = tmp_path / "reader"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_files(folder)
    with ExitStack() as more:
        yield Reader(stores, folder, more)


def fill(stores: Stores) -> None:
    """The day in the lake and, twice, in the stores; marts, as dbt makes them."""
    made = with_plans([stores.key(user) for user in PEOPLE])
    catalog = pl.concat(
        [made.products, *(made.products.head(1).with_columns(product_id=pl.lit(name)) for name in NAMED)]
    )
    made = replace(made, products=catalog)
    for _ in range(2):
        stores.publisher.publish(DAY, made, model_version="recsys/2", keep=5)
    lake, key = Lake(stores.home.lake), stores.key("2375")
    bought = {"event_id": "e", "event_type": "purchase", "event_time": datetime(2026, 11, 20, 9, tzinfo=UTC),
              "event_date": DAY, "user_key": key, "product_id": "a", "quantity": 1}  # fmt: skip
    pool = made.lists.select([name for name in CANDIDATES.columns if name in made.lists.columns])
    figures = {"split": "test", "model": "als", "target": "new", "metric": "ndcg", "k": 10, "value": 0.5}
    for table, rows in (
        (CLEAN_EVENTS, frame(CLEAN_EVENTS, [bought])), (CATALOG, made.products), (LISTS, made.lists),
        (CANDIDATES, frame(CANDIDATES, [row | {"similar_owned": 0} for row in pool.to_dicts()])),
        (USER_PROFILES, made.profiles), (PLANS, made.plans), (EVALUATION, frame(EVALUATION, [figures])),
        *((empty, empty.empty()) for empty in (RULE_EFFECTS, INTERACTIONS, REPURCHASE_CYCLES, ITEM_STATS)),
    ):  # fmt: skip
        lake.write(table, DAY, rows)
    choices = Choices(True, 1.0, 1.0, ((0.0, 1.0), (0.0, 0.5)), ((0.0, 1.0), (0.0, 0.5)))
    lake.put_text("choices", DAY, "choices.json", json.dumps(choices.to_json()))
    with psycopg.connect(stores.postgres_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO daily_sales (event_date, category, orders, buyers, revenue_micros)"
            " VALUES ('2026-11-20', '', 10, 8, 99000000)"
        )
        for statement in marts():
            connection.execute(statement.encode())


def marts() -> Iterator[str]:
    """The views of dbt_project, as dbt would make them; assets/test_marts.py has dbt itself do it, which is slow."""
    project = CHECKOUT / "dbt_project"
    macros = "".join(path.read_text() for path in sorted((project / "macros").glob("*.sql")))
    for schema, folder in (("staging", "staging"), ("marts", "marts")):
        yield f"CREATE SCHEMA {schema}"
        for path in sorted((project / "models" / folder).glob("*.sql")):
            query = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(macros + path.read_text())
            text = query.render(ref=lambda name: f"staging.{name}", source=lambda _, name: f"public.{name}")
            yield f"CREATE VIEW {schema}.{path.stem} AS {text}"


def write_files(folder: Path) -> None:
    """Files that pages name: those that they show, and a small shop."""
    shown = {
        block.language: block.text for block in blocks(README) if block.language in ("csv", "toml")
    }  # of one subject: the file, and how it is read
    (folder / "sales.csv").write_text(shown["csv"])
    (folder / "sales.toml").write_text(shown["toml"])
    (folder / "order.json").write_text(order_text())
    shop = folder / "data" / "shop"
    shop.mkdir(parents=True)
    with (shop / "events.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["event_type", "event_time", "user_id", "product_id", "quantity", "unit_price"])
        rows.writerow(["purchase", "2026-01-05T10:12:00Z", "2375", "a", "1", "2.49"])
    (folder / "stock.csv").write_text("product_id,in_stock,unit_price\na,false,\nb,,3.50\n")


def order_text() -> str:
    email = next(page for page in PAGES if page.stem == "email")
    return next(block.text for block in blocks(email) if block.language == "json")


def an_order() -> Order:
    return Order.parse(json.loads(order_text()))


def sender() -> Sender:
    """As the home.toml that email.md shows."""
    email = next(page for page in PAGES if page.stem == "email")
    config = tomllib.loads(next(block.text for block in blocks(email) if block.language == "toml"))
    return Sender(config["shop_name"], config["shop_url"], config["opt_out_url"])


OFFER = Offer("jam", "Plum jam", 3 * MICROS, "EUR", 4 * MICROS, "https://shop.example/jam.jpg",
              "https://shop.example/p/jam", None, "You bought this 4 times, last in May", "bought_before")  # fmt: skip
REASONS = [
    re.compile(re.escape(words).replace(r"\{\}", ".+"))
    for words in (
        *(words for name, words in vars(reason_texts).items() if name.isupper() and isinstance(words, str)),
        CART_REASON, SESSION_REASON, *reason_texts.SIMILAR_BY.values(),
    )
]  # fmt: skip


def true_json(reader: Reader, text: str) -> None:
    """An answer of the API, or an order: as its model says, and with the words of real reasons."""
    told = json.loads(text)
    if "order_id" in told:
        Order.parse(told)
        return
    reader.request("GET", "/api/recommendations?userId=2375&limit=2")
    real, document = reader.answers[-1], reader.document()
    schema = {"$ref": "#/components/schemas/ProductsAnswer", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(told)
    assert told.keys() == real.keys()
    assert told["products"][0].keys() == real["products"][0].keys()
    for product in told["products"]:
        assert any(words.fullmatch(product["reason"]) for words in REASONS), product["reason"]


def true_toml(text: str) -> None:
    """A mapping file, or what stands in home.toml."""
    told = tomllib.loads(text)
    if "kind" in told:
        MappingFile.model_validate(told)
        return
    needed = {"first_day": date(2026, 1, 1), "time_zone": "UTC", "currency": "EUR", "secret_fingerprint": "0"}
    HomeConfig.model_validate(needed | told)


def true_template(text: str) -> None:
    """Renders in an e-mail with everything, and in one with as little as there can be."""
    jinja = environment(CHECKOUT / "templates" / "email", escape=False).from_string(text)
    order = an_order()
    assert jinja.render(variables(order, [OFFER], sender()))
    jinja.render(variables(order.model_copy(update={"customer_name": None}), [], Sender("Shop")))


def true_screen(text: str) -> None:
    """What a drawing or a printed screen names is there."""
    table = (
        README.read_text().partition("<!-- assets -->")[2].partition("<!-- /assets -->")[0]
    )  # compared with the code
    assets = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    for name, _ in re.findall(r"([a-z_]+) +[\d,]+ rows +([\d.]+) s", text):
        assert name in assets, f"no asset is called {name}"
    for name in re.findall(r"\b[a-z]+_[a-z_]+\b", text):
        assert name in assets | {"quantity_zero", "order_confirmation"}, f"the code knows no {name}"
    for words in re.findall(r"  \d\.\d{3}  (.+)$", text, re.MULTILINE):
        assert any(known.fullmatch(words) for known in REASONS), words


def run_block(reader: Reader, block: Block) -> None:
    """The one rule of each language."""
    match block.language:
        case "sh":
            for call in calls(block.text):
                reader.follow(call)
        case "cron":
            for call in cron_calls(block.text):
                reader.follow(call)
        case "http":
            for line in block.text.splitlines():
                method, path = line.split()
                reader.request(method, path)
        case "sql":
            reader.sql(block.text)
        case "json":
            true_json(reader, block.text)
        case "toml":
            true_toml(block.text)
        case "jinja":
            true_template(block.text)
        case "python":
            reader.python(block.text)
        case "csv":
            assert block.text == Path("sales.csv").read_text(), "a page's CSV is read by the command that follows it"
        case "text":
            true_screen(block.text)
        case _:
            raise AssertionError(f"nothing here can run a block of the language {block.language!r}: say how")


_ROUTE = re.compile(r"(GET|POST|PUT|DELETE) (/\S+)")
_QUERY = re.compile(r"\w+=[^\s=&]+(?:&\w+=[^\s=&]+)*")
_VIEW = re.compile(r"(?:marts\.\w+|(?:live|current)_\w+)")


@BY_NAME
def test_every_line_runs(page: Path, reader: Reader) -> None:
    for block in blocks(page):
        try:
            run_block(reader, block)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{page.name}, block of line {block.line}: {error!r}") from error
    for words in dict.fromkeys(inline(page)):
        try:
            if words.startswith(("recsys ", "make ", "curl ", "cp ", "docker ", "eval ")):
                for call in calls(words):
                    reader.follow(call)
            elif found := _ROUTE.fullmatch(words):
                there(reader.document(), found[1], found[2])
            elif page.stem == "front_end" and _QUERY.fullmatch(words):
                reader.request("GET", f"/api/recommendations?{words}")
            elif _VIEW.fullmatch(words):
                reader.sql(f"SELECT count(*) FROM {words}")
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{page.name}, `{words}`: {error!r}") from error


def there(document: dict[str, Any], method: str, path: str) -> None:
    """Whether the API has a route, whatever its ids are called."""
    known = {
        (name.upper(), re.sub(r"\{\w+\}", "{}", route))
        for route, methods in document["paths"].items()
        for name in methods
    }
    assert (method, re.sub(r"\{\w+\}", "{}", path.partition("?")[0])) in known, "the API has no such route"


def test_email_md_says_every_variable_its_type_an_example_and_when_it_is_null() -> None:
    email = next(page for page in PAGES if page.stem == "email").read_text()
    table = email.partition("<!-- email variables -->")[2].partition("<!-- /email variables -->")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.strip().splitlines()[2:]]
    told = {row[0].strip("`"): row[1:] for row in rows}
    order = an_order()
    full = flat(variables(order, [OFFER], sender()))
    bare_line = order.lines[0].model_copy(update={"list_price": None})
    bare = flat(
        variables(
            order.model_copy(update={"customer_name": None, "lines": (bare_line,)}),
            [Offer("x", "X", 100, "EUR", 103)],
            Sender("Shop"),
        )
    ) | {"copy": variables(order, [], sender())["copy"]}
    assert list(told) == [name for name in told if name in full]
    assert sorted(told) == sorted(full)
    kinds = {str: "text", int: "number", list: "list", dict: "words"}
    for name, (kind, example, null_when) in told.items():
        assert kind.split()[0].rstrip(",") == kinds[type(full[name])], name
        assert example.strip("`") == (str(full[name]) if kind in ("text", "number") else ""), name
        assert (bare[name] is None) == bool(null_when), name


def flat(found: dict[str, Any]) -> dict[str, Any]:
    """Name → value, as a template writes it: what a list holds goes by the name that loops give it."""
    made: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, list):
            made[name] = value
            made |= {f"{name.removesuffix('s')}.{inner}": item for inner, item in value[0].items()}
        elif isinstance(value, dict):
            made |= {name: value} if name == "copy" else {}
            made |= {f"{name}.{inner}": item for inner, item in value.items()}
        else:
            made[name] = value
    return made


def test_every_command_that_is_not_run_is_on_a_page_and_exists() -> None:
    for path in PARSED:
        command, found, _ = named(path.split())
        assert found == path or command.name == "ingest"


def test_a_block_that_nothing_can_run_fails(reader: Reader) -> None:
    for block in (
        Block("", "recsys up\n", 1), Block("sh", "recsys does-not-exist\n", 1),
        Block("sql", "SELECT event_date FROM marts.sales_daily", 1),
        Block("jinja", "{{ opt_out_url }}", 1), Block("toml", "opt_out = 1", 1), Block("sh", "wget x\n", 1),
        Block("json", '{"products": [{"id": "1", "score": 1, "reason": "You bought it 5 times"}]}', 1),
        Block("http", "GET /api/recommendation?userId=1", 1), Block("python", "import nothing_at_all", 1),
    ):  # fmt: skip
        with pytest.raises(Exception):  # noqa: B017, PT011  each for a reason of its own
            run_block(reader, block)


_FILE = re.compile(r"[\w./-]+\.(?:py|md|toml|json|ts|sql|j2)")
_NAME = re.compile(r"[a-z]+(?:_[a-z0-9]+)+|[a-z_]+\.[a-z_]+")


@cache
def code() -> str:
    """Every line of our Python and SQL."""
    folders = ("recsys_assets", "sql", "dbt_project/models")
    files = [path for folder in folders for path in (CHECKOUT / folder).rglob("*") if path.suffix in (".py", ".sql")]
    return "\n".join(f"{path.stem}\n{path.read_text()}" for path in files)


@cache
def known_names() -> frozenset[str]:
    """Whatever the code, the knobs, the benchmarks, dbt or an e-mail's variables are called."""
    found = set(re.findall(r"[a-z0-9_]+(?:\.[a-z_]+)?", code())) | knob_names()
    found |= {path.stem for path in (CHECKOUT / "recsys_assets_tests" / "benchmarks").glob("bench_*.py")}
    return frozenset(found | {f"marts.{name}" for name in found} | set(flat(variables(an_order(), [OFFER], sender()))))


@cache
def file_names() -> frozenset[str]:
    """Files of the package, by the last part of their path."""
    folders = ("recsys_assets", "sql", "templates", "dbt_project")
    return frozenset(path.name for folder in folders for path in (CHECKOUT / folder).rglob("*.*"))


@BY_NAME
def test_every_name_and_file_is_one_that_the_code_knows(page: Path) -> None:
    strange = [
        words
        for words in dict.fromkeys(inline(page))
        if not any((CHECKOUT / folder / words).exists() for folder in ("", "recsys_assets"))
        and words not in file_names()
        and (
            (_NAME.fullmatch(words) and words not in known_names()) or (_FILE.fullmatch(words) and words not in code())
        )
    ]
    assert strange == []


def test_every_command_takes_json_as_the_pages_say() -> None:
    def leaves(group: click.Group) -> Iterator[click.Command]:
        for command in commands_of(group).values():
            yield from leaves(command) if isinstance(command, click.Group) else [command]

    without = {one.name for one in leaves(recsys) if not any("--json" in parameter.opts for parameter in one.params)}
    assert without <= {"completion"}  # a script for a shell
