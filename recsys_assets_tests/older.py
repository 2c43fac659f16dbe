"""A Redis that is brought back from its older files, as after a restore that nobody thought through."""

import shutil
from pathlib import Path

from recsys_assets.local.valkey import Valkey
from recsys_assets_tests.door import Door


class OlderFile:
    """A Valkey of our own behind a door, which can be brought back to what its files were."""

    def __init__(self, folder: Path) -> None:
        self.valkey = Valkey(folder)
        self._files, self._kept = folder / "valkey" / "appendonlydir", folder / "kept"

    def keep(self) -> None:
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self._files, self._kept)

    def restart(self, front: Door) -> None:
        front.shut()
        self.valkey.stop()
        shutil.rmtree(self._files)
        shutil.copytree(self._kept, self._files)
        self.valkey.start()
        front.open(int(self.valkey.url.rpartition(":")[2].partition("/")[0]))
