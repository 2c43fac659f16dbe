INSERT INTO transactional_only SELECT unnest(%(marks)s::uuid[]) ON CONFLICT DO NOTHING
