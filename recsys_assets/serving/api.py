"""What the routes of one process share."""

from dataclasses import dataclass

from redis.asyncio import Redis

from recsys_assets.serving.metrics import Metrics
from recsys_assets.serving.pointer import Live, Pool
from recsys_assets.serving.problems import nothing_published
from recsys_assets.serving.recommendations import Reader
from recsys_assets.serving.state import State
from recsys_assets.settings import Home, Settings


@dataclass(frozen=True)
class Api:
    """Connections, keys and what the process knows of the stores."""

    settings: Settings
    home: Home
    pool: Pool
    cache: Redis
    reader: Reader
    state: State
    metrics: Metrics

    def live(self) -> Live:
        """What is served.

        Raises:
            ProblemError: 503, before the first generation.
        """
        found = self.state.served()
        if found is None:
            raise nothing_published()
        return found
