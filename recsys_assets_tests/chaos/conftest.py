from recsys_assets_tests.assets.conftest import open_shop

__all__ = ["open_shop"]
