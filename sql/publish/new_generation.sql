INSERT INTO generations (day, state, model_version, list_hash, people)
VALUES (%(day)s, 'staging', %(model_version)s, %(list_hash)s, %(people)s)
RETURNING generation
