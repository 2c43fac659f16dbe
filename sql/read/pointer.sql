-- By name from the whole row: a process of this version reads a schema that nobody has brought up to date yet, too.
SELECT g.generation, g.day, g.model_version, g.created_at, live.suppression_version, to_jsonb(g) -> 'planning' AS planning
FROM live
JOIN generations g ON g.generation = live.generation
