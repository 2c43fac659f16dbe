"""How money is counted; apart from the tables, so that whoever serves need not load what frames need."""

MICROS = 1_000_000  # of a unit of currency
