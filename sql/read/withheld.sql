SELECT mark FROM suppressions WHERE by_file
