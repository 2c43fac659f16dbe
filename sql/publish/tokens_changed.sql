UPDATE live SET token_version = token_version + 1
