"""Rules of every table, their exact verdicts, and pages to browse."""

from recsys_assets.stores.quality.rules import Expectation, Severity, Suite
from recsys_assets.stores.quality.validation import record, severity_of, validate, verdicts_of

__all__ = ["Expectation", "Severity", "Suite", "record", "severity_of", "validate", "verdicts_of"]
