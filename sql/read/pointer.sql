SELECT g.generation, g.day, g.model_version, g.created_at, live.suppression_version
FROM live
JOIN generations g ON g.generation = live.generation
