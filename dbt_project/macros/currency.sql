{# Millionths as units of the base currency, with all six digits: a product with a numeric loses none. #}
{% macro currency(micros) -%}
    ({{ micros }} * 0.000001)::numeric(30, 6)
{%- endmacro %}
