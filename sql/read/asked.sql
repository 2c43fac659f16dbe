SELECT mark FROM suppressions WHERE kind <> 'consent'
