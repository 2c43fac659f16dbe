SELECT hash, scopes, expires_at FROM api_tokens
