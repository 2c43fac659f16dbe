INSERT INTO api_tokens (name, hash, scopes, expires_at)
VALUES (%(name)s, %(hash)s, %(scopes)s, now() + %(lifetime)s)
RETURNING token, name, scopes, made_at, expires_at
