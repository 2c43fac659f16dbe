UPDATE live SET suppression_version = suppression_version + 1 RETURNING suppression_version
