from collections.abc import Iterator

import httpx
import pytest

from recsys_assets.serving.pages import create
from recsys_assets.settings import Home, load_settings
from recsys_assets_tests.serving.running import served


@pytest.fixture
def client(home: Home) -> Iterator[httpx.Client]:
    with served(create(load_settings({"RECSYS_HOME": str(home.path)}))) as made:
        made.follow_redirects = True
        yield made


def test_before_the_first_run_the_first_page_says_what_is_missing(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.text.count("Not there yet") == 2
    assert "recsys run daily" in answer.text
    assert "href" not in answer.text
    for path in ("/dbt/", "/data-docs/", "/dbt"):
        assert client.get(path).text == answer.text, path


def test_it_serves_what_the_runs_have_written(client: httpx.Client, home: Home) -> None:
    (home.dbt_docs / "index.html").write_text("<p>marts</p>")
    (home.data_docs / "static").mkdir()
    (home.data_docs / "static" / "a.css").write_text("p {}")
    assert '<a href="/dbt/">' in client.get("/").text
    answer = client.get("/dbt")
    assert answer.text == "<p>marts</p>"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert client.get("/data-docs/static/a.css").headers["content-type"] == "text/css; charset=utf-8"
    assert client.head("/dbt/").status_code == 200
    assert client.get("/data-docs/static/").status_code == 404  # no listing


@pytest.mark.parametrize(
    "path", ["/home.toml", "/dbt/../secret", "/dbt/%2e%2e/secret", "/dbt/..%2fsecret", "/dbt//etc/passwd", "/dbt/link"]
)
def test_nothing_outside_of_the_folders(client: httpx.Client, home: Home, path: str) -> None:
    (home.dbt_docs / "link").symlink_to(home.path / "secret")
    answer = client.get(path)
    assert answer.status_code == 404
    assert (home.path / "secret").read_text().strip() not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_is_read_only(client: httpx.Client, home: Home, method: str) -> None:
    (home.dbt_docs / "index.html").write_text("x")
    for path in ("/", "/dbt/", "/dbt/index.html"):
        assert client.request(method, path).status_code == 405, path
