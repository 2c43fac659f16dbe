"""One file per known file format, towards the event and catalogue contract."""

from recsys_assets.importers.base import Importer
from recsys_assets.importers.complete_journey import CompleteJourneyImporter
from recsys_assets.importers.contract import ContractImporter
from recsys_assets.importers.mapped import MappedImporter

IMPORTERS: dict[str, Importer] = {
    "contract": ContractImporter(),
    "mapped": MappedImporter(),
    "complete_journey": CompleteJourneyImporter(),
}
