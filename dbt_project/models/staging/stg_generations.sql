with

source as (

    select * from {{ source('published', 'generations') }}

),

renamed as (

    select
        generation,
        day as list_date,
        state,
        state = 'live' as is_live,
        model_version,
        people,
        created_at,
        flipped_at,
        array_to_string(refused_because, '; ') as refused_because

    from source

)

select * from renamed
