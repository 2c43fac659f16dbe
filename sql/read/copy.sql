-- Words that a language model wrote for these products in a generation; the intents and kinds of reasons are chosen from.
SELECT product_id, intent, reason_kind, headline, sentence, call_to_action
FROM copy_texts
WHERE generation = %(generation)s AND product_id = ANY(%(products)s) AND trigger = %(trigger)s
  AND language = %(language)s AND source = 'model'
