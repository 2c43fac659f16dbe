SELECT g.generation, g.day, g.state, g.created_at, (live.generation IS NOT NULL) AS live, g.model_version, g.list_hash,
       g.people, g.flipped_at
FROM generations g
LEFT JOIN live ON live.generation = g.generation
ORDER BY g.generation DESC
