-- Whose quotes can be approved by the link to the portal.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.

create function control.portal_opens(an_environment uuid) returns boolean language sql stable security definer
set search_path = pg_catalog, pg_temp as $$
    -- Only those of an environment in use. One that moves or was moved away keeps its rows as they were, tokens too, for they are
    -- proved; what opens by them is asked here.
    select exists (select from control.environment e where e.environment_id = an_environment and e.status = 'active')
$$;
comment on function control.portal_opens(uuid) is
    'Whether the portal tokens of an environment''s quotes work: the platform asks before it opens anything by one.';
revoke all on function control.portal_opens(uuid) from public;
grant execute on function control.portal_opens(uuid) to sb_app, sb_api;
