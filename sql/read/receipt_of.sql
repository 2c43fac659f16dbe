SELECT receipt FROM receipts WHERE mark = %(mark)s AND kind = %(kind)s ORDER BY asked_at DESC LIMIT 1
