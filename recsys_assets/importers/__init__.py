"""One file per known file format, towards the event and catalogue contract."""

from recsys_assets.importers.base import Importer
from recsys_assets.importers.complete_journey import CompleteJourneyImporter
from recsys_assets.importers.contract import ContractImporter
from recsys_assets.importers.mapped import MappedImporter
from recsys_assets.importers.online_retail import OnlineRetailImporter
from recsys_assets.importers.rees46 import Rees46Importer
from recsys_assets.importers.retailrocket import RetailRocketImporter
from recsys_assets.importers.shipped import SHIPPED

IMPORTERS: dict[str, Importer] = {
    "contract": ContractImporter(),
    "mapped": MappedImporter(),
    "complete_journey": CompleteJourneyImporter(),
    "rees46": Rees46Importer(),
    "retailrocket": RetailRocketImporter(),
    "online_retail": OnlineRetailImporter(),
    **SHIPPED,
}
FORMATS = (*IMPORTERS, "sql", "auto")  # what a source may name: see `importers.ingest`
