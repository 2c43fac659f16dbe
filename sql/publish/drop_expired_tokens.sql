DELETE FROM api_tokens WHERE name = %(name)s AND expires_at <= now()
