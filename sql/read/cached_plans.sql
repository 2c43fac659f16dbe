SELECT mark, plan::text AS value FROM plans WHERE generation = %(generation)s
