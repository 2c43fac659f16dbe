{# Rows for which an arithmetic rule is false. A rule about a withheld number (null) says nothing. #}
{% test holds(model, expression) %}
select * from {{ model }} where not ({{ expression }})
{% endtest %}
