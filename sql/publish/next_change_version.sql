UPDATE live SET change_version = change_version + 1 RETURNING change_version
