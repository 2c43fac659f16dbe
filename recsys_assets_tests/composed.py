"""Dockerfile and docker-compose.yml as Python sees them, and a stack of their services run without containers."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recsys_assets.local.answers import answers
from recsys_assets.local.processes import Child, Program
from recsys_assets.local.valkey import binary
from recsys_assets.settings import CHECKOUT

COMPOSE_FILE = CHECKOUT / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE_FILE.read_text())["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<more>[^}]*))?\}")
NAMED = re.compile(r"^#? ?(?P<name>[A-Z][A-Z_]+)=(?P<value>.*)$", re.MULTILINE)
BIN = Path(sys.executable).parent
PASSWORDS = {
    "POSTGRES_PASSWORD": "forpostgres1",
    "REDIS_PASSWORD": "forredis2",
    "RECSYS_SECRET": "sixteen bytes or more",
}
SECONDS = 120.0


def filled(text: str, values: dict[str, str]) -> str:
    """What Compose makes of a text.

    >>> filled("$${A} ${A:-b} ${A:?why}", {"A": "1"})
    '${A} 1 1'
    """

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        given = values.get(found["name"], "")
        assert given or found["how"] != ":?" or found["name"] in values, f"{found['name']} is required"
        return given or (found["more"] if found["how"] == ":-" else "")

    return VARIABLE.sub(value, text)


@dataclass(frozen=True)
class Target:
    """One stage of the Dockerfile with the stages it is made from."""

    lines: list[str]

    def said(self, instruction: str) -> list[str]:
        """What follows each of these instructions."""
        return [line.removeprefix(instruction).strip() for line in self.lines if line.startswith(instruction + " ")]

    @property
    def environment(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for line in self.said("ENV") for pair in shlex.split(line))

    @property
    def command(self) -> list[str]:
        found: list[str] = json.loads(self.said("CMD")[-1])
        return found

    @property
    def health(self) -> list[str]:
        found: list[str] = json.loads(self.said("HEALTHCHECK")[-1].partition("CMD ")[2])
        return ["CMD", *found]


def dockerfile() -> dict[str, Target]:
    text = (CHECKOUT / "Dockerfile").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    stages: dict[str, list[str]] = {}
    for line in re.sub(r" *\\\n *", " ", text).splitlines():
        if line.startswith("FROM "):
            base, name = re.fullmatch(r"FROM (\S+) AS (\S+)", line).groups()  # type: ignore[union-attr]  # else it fails
            stages[name] = [line, *stages.get(base, [])]
            current = stages[name]
        elif line:
            current.append(line)
    return {name: Target(lines) for name, lines in stages.items()}


TARGETS = dockerfile()


@dataclass
class Stack:
    """The services, run here: their commands as they stand, with hosts, ports and folders of this machine."""

    folder: Path
    swaps: dict[str, str]
    values: dict[str, str]

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def swapped(self, text: str) -> str:
        text = filled(text, self.values)
        for there, here in self.swaps.items():
            text = here.join(re.split(rf"(?<![\w./]){re.escape(there)}(?!\w)", text))
        return text

    def environment(self, name: str) -> dict[str, str]:
        service = SERVICES[name]
        target = TARGETS[service["build"]["target"]].environment if name in OURS else {}
        here = {"PATH": f"{BIN}:{binary().parent}:/usr/bin:/bin", "HOME": str(self.home), "TMPDIR": str(self.folder)}
        given = {n: self.swapped(value) for n, value in service["environment"].items() if value is not None}
        own = {n: self.swapped(value) for n, value in target.items() if n != "PATH"}
        if name in ("api", "pages"):
            own["PYTHONPATH"] = f"{self.folder / 'bare'}:{own['PYTHONPATH']}"
        return own | given | here | {"PYTHONWARNINGS": "ignore"}

    def command(self, name: str) -> list[str]:
        return [self.swapped(word) for word in SERVICES[name]["command"]]

    def start(self, name: str) -> Child:
        log = self.folder / f"{name}.log"
        return Child(Program(name, tuple(self.command(name)), log, self.environment(name), CHECKOUT))

    def run(self, name: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(name), env=self.environment(name), cwd=CHECKOUT, capture_output=True, text=True, check=False
        )

    def healthy(self, name: str) -> bool:
        kind, *words = [self.swapped(word) for word in SERVICES[name]["healthcheck"]["test"]]
        assert kind == "CMD"
        done = subprocess.run(words, env=self.environment(name), cwd=CHECKOUT, capture_output=True, check=False)
        return done.returncode == 0

    def ended_or_answers(self, name: str, child: Child) -> bool:
        """As its health check asks, without a process for each question."""
        port, path = SERVICES[name]["healthcheck"]["test"][-2:]
        return child.exit_code() is not None or answers(int(self.swapped(port)), path)
