SELECT mark FROM suppressions WHERE kind = 'erased'
