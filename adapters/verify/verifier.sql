-- What the verifier asks of the service's own schema.

-- name: taken_grants
-- Rights to draw numbers that the fence around a schema holds back until it is lifted.
select 'sequence ' || (g.value ->> 'sequence') as object,
       'grant of ' || (g.value ->> 'privilege') || ' to ' || coalesce(g.value ->> 'grantee', 'public') as fact
from control.fence f cross join lateral jsonb_array_elements(f.sequence_grants) g
where f.schema_name = $1 and f.lifted_at is null

-- name: kept
-- The result of this evening's comparison, when the copy has been changed on purpose since.
select verification::text from control.transfer where transfer_id = $1 and banks is not null

-- name: keep
-- The result, for reports.
update control.transfer set verification = $2::jsonb where transfer_id = $1
