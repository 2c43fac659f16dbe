SELECT suppression_version FROM live
