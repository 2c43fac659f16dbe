UPDATE api_tokens SET expires_at = least(expires_at, now() + %(overlap)s) WHERE name = %(name)s RETURNING token
