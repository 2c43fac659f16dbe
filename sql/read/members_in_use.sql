SELECT bool_or(cardinality(als) > 0) AS als, bool_or(cardinality(item_cf) > 0) AS item_cf,
       bool_or(cardinality(popularity) > 0) AS popularity, bool_or(cardinality(personal) > 0) AS personal,
       bool_or(cardinality(linear) > 0) AS linear, bool_or(cardinality(transitions) > 0) AS transitions,
       bool_or(cardinality(session) > 0) AS session, bool_or(cardinality(basket) > 0) AS basket,
       bool_or(cardinality(content) > 0) AS content
FROM (SELECT * FROM lists WHERE generation = %(generation)s ORDER BY person_key LIMIT 100) AS few
