DELETE FROM api_tokens
WHERE name = %(word)s OR token::text = lower(%(word)s)
RETURNING token, name, scopes, made_at, expires_at
