from recsys_assets_tests.assets.conftest import open_shop, programs
from recsys_assets_tests.stores.conftest import stores

__all__ = ["open_shop", "programs", "stores"]
