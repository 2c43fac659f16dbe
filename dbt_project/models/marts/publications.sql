with

generations as (

    select * from {{ ref('stg_generations') }}

),

timed as (

    select
        generation,
        list_date,
        state,
        is_live,
        model_version,
        people,
        created_at,
        flipped_at,
        round(extract(epoch from flipped_at - created_at)::numeric, 3) as seconds_to_live,
        refused_because

    from generations

)

select * from timed
