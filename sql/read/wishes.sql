SELECT mark, kind, at, by_file FROM suppressions ORDER BY version, mark
