SELECT change_version, token_version FROM live
