"""`python -m recsys_assets_tests.chaos.publishing LABEL`: publishes to the shop of the environment, once told to."""

import sys

from recsys_assets.settings import load_settings, open_home
from recsys_assets_tests.chaos.shop import everybody, made
from recsys_assets_tests.published import DAY, Stores


def main() -> None:
    settings = load_settings()
    stores = Stores(open_home(settings), settings.postgres_url, settings.redis_url)
    frames = made(sys.argv[1], everybody(stores))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    stores.publisher.publish(DAY, frames, model_version="1", keep=3)


if __name__ == "__main__":
    main()
