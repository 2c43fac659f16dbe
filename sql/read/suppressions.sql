SELECT mark FROM suppressions ORDER BY version
