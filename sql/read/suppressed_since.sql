SELECT mark, version FROM suppressions WHERE version > %(version)s
