SELECT DISTINCT mark FROM receipts WHERE kind = 'optin' AND asked_at >= %(since)s
