{# part ÷ whole to six digits; null where there is nothing below the line, or where one of the two is withheld. #}
{% macro ratio(part, whole) -%}
    round({{ part }}::numeric / nullif({{ whole }}, 0), 6)
{%- endmacro %}
