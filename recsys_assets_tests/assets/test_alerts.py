"""Failed runs are told outside: real runs, the sensor as the daemon calls it, real servers."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from click.testing import CliRunner

from recsys_assets.commands.alert import alert as command
from recsys_assets.errors import SettingsError, StoreError
from recsys_assets.logic.alerts import Alert
from recsys_assets.settings import CHECKOUT, Home, load_settings
from recsys_assets.stores import alerts
from recsys_assets.stores.alerts import undelivered
from recsys_assets_tests.receivers import mailbox, webhook

# The sensor asks for them; nothing connects.
URLS = {"RECSYS_POSTGRES_URL": "postgresql://app@127.0.0.1:1/x", "RECSYS_REDIS_URL": "redis://127.0.0.1:1/0"}
Ask = Callable[[str], dict[str, str]]


@contextmanager
def sensor(home: Home, **settings: str) -> Iterator[Ask]:
    """Says a line to a process with the sensor in it; what it answers."""
    command = [sys.executable, "-m", "recsys_assets_tests.assets.run_alert"]
    environment = {"PATH": os.environ["PATH"], "RECSYS_HOME": str(home.path), **URLS, **settings}
    with subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr

        def ask(line: str) -> dict[str, str]:
            stdin.write(line + "\n")
            stdin.flush()
            answer = stdout.readline()
            assert answer, stderr.read()[-4000:]
            told: dict[str, str] = json.loads(answer)
            return told

        try:
            yield ask
        finally:
            stdin.close()
            stdout.read()
            stderr.read()


def test_a_failed_run_is_told_once_over_each_way_and_again_until_it_is_taken(home: Home) -> None:
    with webhook() as hook, mailbox() as box:
        settings = {
            "RECSYS_ALERT_WEBHOOK": hook.url,
            "RECSYS_ALERT_EMAIL": "ops@example.com, night@example.com",
            "RECSYS_SMTP_URL": f"smtp://{box.host}",
            "RECSYS_DAGSTER_URL": "https://dagster.example.com/",
        }
        with sensor(home, **settings) as ask:
            ask("fail before anybody asked")
            assert ask("tick") == {"said": "0 alerts sent"}  # the first tick only learns where it is
            ask("pass")
            assert ask("tick") == {"said": "0 alerts sent"}
            assert (hook.posted, box.mails) == ([], [])

            reason = "events.csv, line 3: not JSON. postgresql://app:hush@db/x"
            run_id = ask(f"fail {reason}")["run_id"]
            assert ask("tick") == {"said": "1 alerts sent"}
            assert ask("tick") == {"said": "0 alerts sent"}
            (posted,) = hook.posted
            assert (posted["event"], posted["shop"], posted["job"]) == ("run_failed", "our shop", "nightly_work")
            assert (posted["day"], posted["run_id"]) == ("2024-03-01", run_id)
            assert posted["failures"] == [{"step": "step", "reason": "events.csv, line 3: not JSON. postgresql://db/x"}]
            assert posted["url"] == f"https://dagster.example.com/runs/{run_id}"
            ((sender, to, mail),) = box.mails
            assert (sender, to) == ("ops@example.com", ["ops@example.com", "night@example.com"])
            assert "Subject: our shop: nightly_work for 2024-03-01 failed" in mail
            assert "line 3: not JSON" in mail
            assert "hush" not in mail

            box.full = True  # the webhook takes it, the mail server does not
            ask("break no such user: ann@example.com")
            assert "RECSYS_SMTP_URL: the mail is not taken" in ask("tick")["said"]
            assert "RECSYS_SMTP_URL: the mail is not taken" in ask("tick")["said"]
            box.full = False
            assert ask("tick") == {"said": "1 alerts sent"}
            assert len(hook.posted) == 2
            assert len(box.mails) == 2
            assert "ann@" not in json.dumps(hook.posted) + box.mails[1][2]  # a library's words may quote anything
            assert "an error that is not one of ours" in hook.posted[1]["failures"][0]["reason"]

            hook.status = 500
            ask("fail one")
            ask("fail two")
            assert ask("tick") == {"said": "RECSYS_ALERT_WEBHOOK: the server answers 500 Internal Server Error"}
            hook.status = 200
            assert ask("tick") == {"said": "2 alerts sent"}
            assert [post["failures"][0]["reason"] for post in hook.posted[2:]] == ["one", "two"]


def test_what_nobody_takes_is_told_by_status_and_lost_after_a_while(home: Home) -> None:
    with webhook() as hook, sensor(home, RECSYS_ALERT_WEBHOOK=hook.url) as ask:
        ask("tick")
        assert undelivered(home.path) == {"problem": "", "since": "", "lost": []}
        ask("patience 3")
        hook.status = 302  # a login page, say: what it leads to answers 200
        run_id = ask("fail first")["run_id"]
        assert "answers 302" in ask("tick")["said"]
        noted = undelivered(home.path)
        assert "answers 302" in noted["problem"]
        ask("tick")
        assert undelivered(home.path) == noted  # since the first time
        assert ask("tick") == {"said": "0 alerts sent"}
        (lost,) = undelivered(home.path)["lost"]
        assert run_id in lost["what"]
        assert "answers 302" in lost["what"]
        hook.status = 200
        ask("fail second")  # is not held up by it
        assert ask("tick") == {"said": "1 alerts sent"}
        assert (hook.posted[0]["failures"][0]["reason"], undelivered(home.path)["problem"]) == ("second", "")
        assert hook.posted[0]["live"] == "what is live is not known: Postgres does not answer"


def test_a_tick_that_takes_long_goes_on_in_the_next_one_and_sends_none_twice(home: Home) -> None:
    with webhook() as hook, sensor(home, RECSYS_ALERT_WEBHOOK=hook.url) as ask:
        ask("tick")
        ask("hurry 1.5")
        hook.seconds = 2.0
        (home.path / "alerts.json").mkdir()  # as a disk that takes nothing more
        for name in ("one", "two"):
            ask(f"fail {name}")
        assert ask("tick") == {"said": "1 alerts sent"}
        assert ask("tick") == {"said": "1 alerts sent"}
        assert ask("tick") == {"said": "0 alerts sent"}
        hook.status = 500
        ask("fail three")
        assert "answers 500" in ask("tick")["said"]
        assert [post["failures"][0]["reason"] for post in hook.posted] == ["one", "two"]


ALERT = Alert("shop", "daily", "2024-03-01", "1", (), "nothing is live yet", "")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/hök", "http://127.0.0.1:1 /x", "http://127.0.0.1:port/"])
def test_an_address_that_no_library_takes_is_a_failure_of_this_way(url: str) -> None:
    send = alerts.ways(replace(load_settings({}), alert_webhook=url))["webhook"]
    with pytest.raises(StoreError, match="RECSYS_ALERT_WEBHOOK") as failed:
        send(ALERT)
    assert "hök" not in str(failed.value)


def test_what_a_server_says_is_told_in_one_short_line() -> None:
    with webhook() as hook:
        hook.status, hook.reason = 500, "\x1b[2J\x07gone" * 1000
        with pytest.raises(StoreError) as failed:
            alerts.ways(load_settings({"RECSYS_ALERT_WEBHOOK": hook.url}))["webhook"](ALERT)
    assert str(failed.value).startswith("RECSYS_ALERT_WEBHOOK: the server answers 500 [2J gone")
    assert str(failed.value).isprintable()
    assert len(str(failed.value)) < 210


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"])
def test_a_webhook_that_trickles_is_left_and_the_next_alert_does_not_pile_up(
    monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr(alerts, "ALL_SECONDS", 0.5)
    ended = threading.Event()

    def trickle(listener: socket.socket) -> None:
        with listener.accept()[0] as connection, suppress(OSError):
            connection.sendall(head)
            while not ended.wait(0.05):
                connection.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, args=(listener,))
        thread.start()
        settings = load_settings({"RECSYS_ALERT_WEBHOOK": f"http://127.0.0.1:{listener.getsockname()[1]}/"})
        send = alerts.ways(settings)["webhook"]
        try:
            with pytest.raises(StoreError, match="has not answered within"):
                send(ALERT)
            with pytest.raises(StoreError, match="has not yet answered an earlier alert"):
                send(ALERT)
        finally:
            ended.set()
            thread.join()
            alerts._slow["RECSYS_ALERT_WEBHOOK"].join(30)


def test_without_a_way_nothing_is_kept_for_later(home: Home) -> None:
    with sensor(home) as ask:
        ask("fail")
        assert ask("tick") == {"said": "no way is set to send alerts over"}


def test_the_command_sends_one_over_each_way(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_HOME", str(home.path))
    with pytest.raises(SettingsError, match="no way is set"):
        CliRunner().invoke(command, ["test"], catch_exceptions=False)
    with webhook() as hook:
        monkeypatch.setenv("RECSYS_ALERT_WEBHOOK", hook.url)
        assert CliRunner().invoke(command, ["test"], catch_exceptions=False).output == "sent by webhook\n"
        assert hook.posted[0]["job"] == "test"
        hook.status = 404
        with pytest.raises(StoreError, match="answers 404"):
            CliRunner().invoke(command, ["test"], catch_exceptions=False)


def test_an_address_without_a_mail_server_is_refused() -> None:
    with pytest.raises(SettingsError, match="RECSYS_ALERT_EMAIL needs RECSYS_SMTP_URL"):
        load_settings({"RECSYS_ALERT_EMAIL": "ops@example.com"})
    with pytest.raises(SettingsError, match="RECSYS_ALERT_EMAIL is not an e-mail address"):
        load_settings({"RECSYS_ALERT_EMAIL": "ops", "RECSYS_SMTP_URL": "smtp://host"})
