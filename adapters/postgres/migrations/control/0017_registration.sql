-- What a platform registers over the API: licences and environments. Each function changes what it says and nothing else,
-- so the API needs no right on the tables; over views it works by their triggers (docs/integration.md).
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.

create function control.register_licence(
    a_number text, a_holder text, a_kind text, a_host text, an_email text, a_language text
) returns text language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
-- A licence, or what may change of it: made, changed or kept; else the code of a refusal. The lock is the bytes of "lice".
declare
    known record;
begin
    perform pg_catalog.pg_advisory_xact_lock(x'6c696365'::int, pg_catalog.hashtext(a_number));
    select * into known from control.licence where licence_number = a_number;
    if found then
        if (known.kind, known.host) is distinct from (a_kind, a_host) then
            return 'LicenceDiffers';
        elsif (known.holder_name, known.contact_email, known.language) is not distinct from (a_holder, an_email, a_language) then
            return 'kept';
        end if;
        update control.licence set holder_name = a_holder, contact_email = an_email, language = a_language
        where licence_number = a_number;
        return 'changed';
    end if;
    insert into control.licence (licence_number, holder_name, kind, host, contact_email, language)
    values (a_number, a_holder, a_kind, a_host, an_email, a_language);
    return 'made';
exception when unique_violation then
    return 'HostTaken';
end
$$;

create function control.register_environment(
    an_id uuid, a_licence text, a_name text, a_url_part text, a_url text, an_address text, a_login text
) returns text language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
-- An environment whose books are there, with the route of its mail; or, of one that is active, another name or login.
-- Made, changed or kept; else the code of a refusal. The lock is the bytes of "envi".
declare
    books constant text := 'env_' || replace(an_id::text, '-', '');
    place text;
    known record;
begin
    perform pg_catalog.pg_advisory_xact_lock(x'656e7669'::int, pg_catalog.hashtext(an_id::text));
    select cell into place from control.licence where licence_number = a_licence;
    if not found then
        return 'LicenceUnknown';
    end if;
    -- Held until the end: a freeze that begins now waits, or is seen.
    select licence_number, name, url_part, url, mailbox_address, login_email, status into known
    from control.environment where environment_id = an_id for update;
    if found then
        if (known.licence_number, known.url, known.mailbox_address) is distinct from (a_licence, a_url, an_address) then
            return 'EnvironmentDiffers';
        elsif (known.name, known.login_email) is not distinct from (a_name, a_login) then
            return 'kept';
        elsif known.status <> 'active' then
            return 'EnvironmentNotActive';
        end if;
        update control.environment set name = a_name, login_email = a_login where environment_id = an_id;
        return 'changed';
    end if;
    if exists (select from control.environment
               where licence_number = a_licence and lower(name) = lower(a_name) and status <> 'retired') then
        return 'NameTaken';
    elsif exists (select from control.environment where url = a_url and status <> 'retired') then
        return 'UrlTaken';
    elsif exists (select from control.mailbox_route where address = an_address) then
        return 'AddressTaken';
    elsif place = 'home' and not exists (select from pg_namespace where nspname = books) then
        return 'BooksMissing';
    end if;
    insert into control.environment (environment_id, licence_number, name, url_part, url, schema_name, status,
                                     mailbox_address, login_email, cell)
    values (an_id, a_licence, a_name, a_url_part, a_url, books, 'active', an_address, a_login, place);
    insert into control.mailbox_route (address, environment_id) values (an_address, an_id);
    return 'made';
exception when unique_violation then
    -- Another name of its own, or somebody else at the same moment.
    if exists (select from control.environment
               where licence_number = a_licence and lower(name) = lower(a_name) and status <> 'retired' and environment_id <> an_id) then
        return 'NameTaken';
    elsif exists (select from control.environment where url = a_url and status <> 'retired') then
        return 'UrlTaken';
    end if;
    return 'AddressTaken';
end
$$;

revoke all on all functions in schema control from public;
grant execute on function control.register_licence, control.register_environment to sb_api;
