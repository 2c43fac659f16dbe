"""Run by the tests as a process of its own: publishes products, and says each step before it begins."""

import sys

from recsys_assets.settings import load_settings, open_home
from recsys_assets_tests.published import Stores


def say(step: str) -> None:
    sys.stdout.write(step + "\n")
    sys.stdout.flush()


def main() -> None:
    settings = load_settings()
    stores = Stores(open_home(settings), settings.postgres_url, settings.redis_url)
    say("imported")
    sys.stdin.readline()
    users = [str(n) for n in range(int(sys.argv[1]))]
    stores.publish(users, *sys.argv[2:], progress=say)


if __name__ == "__main__":
    main()
