INSERT INTO generations (day, state, model_version, list_hash, people, learnt_at, planning)
VALUES (%(day)s, 'staging', %(model_version)s, %(list_hash)s, %(people)s, %(learnt_at)s, %(planning)s::jsonb)
RETURNING generation
