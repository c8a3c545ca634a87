-- name: register_licence
-- A licence: what came of it.
select control.register_licence($1, $2, $3, $4, $5, $6)

-- name: register_environment
-- An environment with the route of its mail: what came of it.
select control.register_environment($1, $2, $3, $4, $5, $6, $7)

-- name: cancel_licence
-- A licence was cancelled, or is not any more: what came of it.
select control.cancel_licence($1, $2, $3)

-- name: licence
-- A licence as it is registered.
select l.licence_number, l.holder_name, l.kind, l.host, l.contact_email, l.language,
       exists (select from control.cancelled_licence c where c.licence_number = l.licence_number) as cancelled
from control.licence l where l.licence_number = $1

-- name: environment
-- An environment as it is registered; where its books are kept is nobody's but operators'.
select environment_id, licence_number, name, url, url_part, mailbox_address, login_email, status
from control.environment where environment_id = $1
