SELECT token, name, scopes, made_at, expires_at, expires_at <= now() AS expired
FROM api_tokens
ORDER BY name, made_at, token
