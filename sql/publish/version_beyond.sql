UPDATE live SET suppression_version = greatest(suppression_version, %(seen)s) + 1 RETURNING suppression_version
