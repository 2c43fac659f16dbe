"""What assets are handed: the home, and the stores that the settings name."""

from functools import cached_property

import dagster as dg

from recsys_assets.errors import HomeError
from recsys_assets.settings import Home, Settings, load_settings, open_home
from recsys_assets.stores.cache import Cache
from recsys_assets.stores.erasure import Sweep
from recsys_assets.stores.lake import Lake
from recsys_assets.stores.postgres import Postgres
from recsys_assets.stores.publishing import Publisher
from recsys_assets.stores.suppressions import Suppressions
from recsys_assets.stores.tracking import Tracking
from recsys_assets.tuning import Tuning


class Shop(dg.ConfigurableResource[None]):
    """One shop: opened from the environment when a run starts, so that nothing secret stands in a run's config."""

    @cached_property
    def settings(self) -> Settings:
        """What the environment says."""
        settings = load_settings()
        if not (settings.postgres_url and settings.redis_url):
            raise HomeError("no servers: run this through `recsys up` or `recsys run`, or set RECSYS_POSTGRES_URL etc.")
        return settings

    @cached_property
    def home(self) -> Home:
        """Folder, file and keys."""
        return open_home(self.settings)

    @property
    def tuning(self) -> Tuning:
        """The home's knobs."""
        return self.home.config.tuning

    @cached_property
    def lake(self) -> Lake:
        """Parquet tables."""
        return Lake(self.home.lake_url, thorough=True)

    @cached_property
    def tracking(self) -> Tracking:
        """MLflow's runs and registry."""
        return Tracking(self.settings.mlflow_postgres_url, self.home.artifacts)

    @cached_property
    def suppressions(self) -> Suppressions:
        """Who must not be served."""
        return Suppressions(Postgres(self.settings.postgres_url), Cache(self.settings.redis_url), self.home.keys)

    @cached_property
    def sweep(self) -> Sweep:
        """What removes the erased from the lake and from exports."""
        postgres = Postgres(self.settings.postgres_url)
        return Sweep(self.lake, postgres, self.suppressions, self.home.keys, self.home.exports)

    @cached_property
    def publisher(self) -> Publisher:
        """Postgres and Redis as readers see them."""
        return Publisher(Postgres(self.settings.postgres_url), Cache(self.settings.redis_url), self.home.keys)
