-- The entrance for mail and scans: into the environment that an address leads to, or into the queue of one that moves.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.
-- docs/decisions/0014-held-mail.md says which lock decides what.

alter table control.environment add column inbox_id uuid not null default gen_random_uuid();
comment on column control.environment.inbox_id is
    'whose mail and scans are its: a release hands it on to the new environment, so that what came in before the move is still known after it';
create index environment_by_inbox on control.environment (inbox_id);

create table control.delivery (
    inbox_id     uuid not null,
    kind         text not null check (kind in ('mail', 'scan')),
    -- SHA-256 of the Message-ID or document id, or of the bytes when there is none.
    item_digest  bytea not null check (octet_length(item_digest) = 32),
    arrived_at   timestamptz not null default clock_timestamp(),
    delivered_at timestamptz,
    delivered_to uuid,
    primary key (inbox_id, kind, item_digest)
);
comment on table control.delivery is
    'Everything that was taken in, once: what is not delivered yet stands in control.held_item. Kept for half a year, so that what is sent again is known.';
create index delivery_by_age on control.delivery (arrived_at);
create index delivery_waiting on control.delivery (inbox_id) where delivered_at is null;

create table control.held_item (
    item_id     bigint generated always as identity primary key,
    inbox_id    uuid not null,
    kind        text not null,
    item_digest bytea not null,
    item_key    text not null,
    address     text not null,
    name        text not null default '',
    content     bytea not null,
    received_at timestamptz not null,
    arrived_at  timestamptz not null default clock_timestamp(),
    problem     text,
    tried_at    timestamptz,
    unique (inbox_id, kind, item_digest),
    foreign key (inbox_id, kind, item_digest) references control.delivery
);
comment on table control.held_item is
    'Mail and scans that wait for the end of a move, in the order in which they came (item_id).';
comment on column control.held_item.problem is
    'why its environment did not take it: others no longer wait for it, and it is tried again every ten minutes';
create index held_item_in_order on control.held_item (inbox_id, item_id) where problem is null;

-- In a cell: what was put into an environment there, before home had heard of it.
create table control.drained_item (
    item_id    bigint primary key,
    drained_at timestamptz not null default clock_timestamp()
);
comment on table control.drained_item is
    'In a cell: the items of home''s queue that have been put into an environment here, so that none is put in twice.';

create function control.decode_words(a_text text) returns text language plpgsql immutable
set search_path = pg_catalog, pg_temp as $$
-- A header with its encoded words (RFC 2047) made readable; what cannot be read stays as it is.
declare
    one_word constant text := '=\?[A-Za-z0-9._-]+(?:\*[A-Za-z-]*)?\?[BbQq]\?[^? ]*\?=';
    -- White space between two encoded words is no part of the text.
    joined constant text := regexp_replace(a_text, '(\?=)\s+(?==\?)', '\1', 'g');
    plain constant text[] := regexp_split_to_array(joined, one_word);
    decoded text := plain[1];
    word text;
    pieces text[];
    number integer := 1;
    bytes bytea;
begin
    for word in select w.part[1] from regexp_matches(joined, '(' || one_word || ')', 'g') w (part) loop
        number := number + 1;
        begin
            pieces := string_to_array(word, '?');
            if lower(pieces[3]) = 'b' then
                bytes := decode(pieces[4], 'base64');
            else
                select coalesce(string_agg(case when m.part[1] ~ '^=[0-9A-Fa-f]{2}$' then decode(substr(m.part[1], 2), 'hex')
                                                else convert_to(m.part[1], 'UTF8') end, ''::bytea order by m.place), ''::bytea)
                into bytes
                from regexp_matches(replace(pieces[4], '_', ' '), '=[0-9A-Fa-f]{2}|[^=]+|=', 'g') with ordinality m (part, place);
            end if;
            word := convert_from(bytes, case lower(split_part(pieces[2], '*', 1)) when 'us-ascii' then 'UTF8'
                                             else split_part(pieces[2], '*', 1) end);
        exception when others then
            null;
        end;
        decoded := decoded || word || plain[number];
    end loop;
    return decoded;
end
$$;

create function control.mail_header(raw bytea, a_name text) returns text language plpgsql immutable
set search_path = pg_catalog, pg_temp as $$
-- The first header field of a name, unfolded and decoded, at most 998 characters; empty when there is none.
declare
    -- The header ends at the first empty line.
    bytes constant bytea := substr(raw, 1, least(65536, coalesce(
        nullif(least(nullif(position('\x0d0a0d0a'::bytea in raw), 0), nullif(position('\x0a0a'::bytea in raw), 0)), 0) - 1, 65536)));
    head text;
    field text;
begin
    begin
        head := convert_from(bytes, 'UTF8');
    exception when others then
        head := convert_from(bytes, 'LATIN1');
    end;
    head := regexp_replace(replace(head, E'\r\n', E'\n'), '\n[ \t]+', ' ', 'g');
    field := (regexp_match(E'\n' || head, '\n' || a_name || '[ \t]*:[ \t]*([^\n]*)', 'i'))[1];
    return left(coalesce(control.decode_words(field), ''), 998);
exception when others then
    return '';
end
$$;

create function control.put_item(
    a_schema text, a_kind text, a_key text, an_address text, a_name text, a_content bytea, a_received_at timestamptz
) returns text language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- Put one item into an environment of this database, whose triggers the caller has muted; null when it is in, otherwise why
-- it is not. An environment may have columns, rules and rows of its own: what it refuses is told, and raised is only what
-- another try may mend (locks, time, a fence that is still up).
declare
    target constant text := case a_kind when 'mail' then 'mailbox_message' else 'scanbox_document' end;
    columns text;
    marks text;
    whole boolean;
    placed bigint;
    tries integer := 0;
    runs_code boolean;
    statement text;
    second text;
    third text;
    fourth text;
    sent_by constant text := case a_kind when 'mail' then control.mail_header(a_content, 'from') end;
    media constant text := case
        when substr(a_content, 1, 4) = '\x89504e47'::bytea then 'image/png'
        when substr(a_content, 1, 3) = '\xffd8ff'::bytea then 'image/jpeg'
        when substr(a_content, 1, 4) = '\x25504446'::bytea then 'application/pdf'
        when a_name ~* '\.png$' then 'image/png'
        when a_name ~* '\.jpe?g$' then 'image/jpeg'
        else 'application/pdf' end;
begin
    select string_agg(quote_ident(a.attname), ', ' order by a.attnum), string_agg(v.mark, ', ' order by a.attnum),
           bool_or(a.attname = 'raw')
    into columns, marks, whole
    from pg_namespace n
    join pg_class c on c.relnamespace = n.oid and c.relname = target and c.relkind in ('r', 'p', 'v')
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    join (values ('mail', 'received_at', '$1'), ('mail', 'sender', '$2'), ('mail', 'recipient', '$3'), ('mail', 'subject', '$4'),
                 ('mail', 'raw', '$5'), ('mail', 'message_id', '$6'),
                 ('scan', 'received_at', '$1'), ('scan', 'file_name', '$2'), ('scan', 'media_type', '$3'),
                 ('scan', 'raw', '$5'), ('scan', 'document_id', '$6')) v (kind, name, mark)
         on v.kind = a_kind and v.name = a.attname
    where n.nspname = a_schema;
    if not coalesce(whole, false) then
        return format('%I has no table %I with a column raw.', a_schema, target);
    end if;
    runs_code := control.runs_code(a_schema, array[target]);
    statement := case when runs_code
        -- Not a part of a larger query, which a table with rules does not take.
        then format('do %L', format(
            'declare placed bigint; begin insert into {table} (%s) select %s from pg_temp.sb_item; get diagnostics placed = row_count; '
            'insert into pg_temp.sb_told values (pg_catalog.to_jsonb(placed)); end', columns, replace(marks, '$', 'item_')))
        else format('insert into %I.%I (%s) values (%s)', a_schema, target, columns, marks) end;
    second := case a_kind when 'mail' then coalesce((regexp_match(sent_by, '<([^<>]+)>'))[1], sent_by) else a_name end;
    third := case a_kind when 'mail' then an_address else media end;
    fourth := case a_kind when 'mail' then control.mail_header(a_content, 'subject') end;
    if runs_code then
        create temporary table sb_item on commit drop as
            select a_received_at as item_1, second as item_2, third as item_3, fourth as item_4, a_content as item_5, a_key as item_6;
        grant select on pg_temp.sb_item to sb_carrier;
    end if;
    loop
        begin
            if runs_code then
                placed := control.write(a_schema, target, statement);
            else
                execute statement using a_received_at, second, third, fourth, a_content, a_key;
                get diagnostics placed = row_count;
            end if;
            exit;
        exception when unique_violation then
            -- Rows with numbers that its sequence has not drawn yet: the next number may be free.
            tries := tries + 1;
            if tries >= 100 then
                raise;
            end if;
        end;
    end loop;
    if runs_code then
        drop table pg_temp.sb_item;
    end if;
    if placed <> 1 then
        return format('%I.%I took no row.', a_schema, target);
    end if;
    return null;
exception
    when lock_not_available or deadlock_detected or serialization_failure or read_only_sql_transaction
         or insufficient_resources then
        raise;
    when others then
        return pg_catalog.left(pg_catalog.format('%s (%s)', sqlerrm, sqlstate), 500);
end
$$;

create function control.deliver(
    a_kind text, an_address text, a_key text, a_name text, a_content bytea, a_received_at timestamptz
) returns text language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- The route is held first, then the environment: a freeze, an undo and the worker's own deliveries hold the environment,
-- a release and the closing of an address hold the route. So each comes whole before or whole after this.
declare
    most_bytes constant integer := 26214400;
    route record;
    target record;
    digest bytea;
    problem text;
    placed boolean := false;
begin
    if an_address is null or a_content is null or octet_length(a_content) = 0 then
        raise exception 'Address and content are needed: nothing was taken.' using errcode = 'null_value_not_allowed';
    end if;
    if octet_length(a_content) > most_bytes then
        raise exception 'An item of % bytes is too large: nothing was taken. At most 25 MiB (% bytes) are.', octet_length(a_content), most_bytes
            using errcode = 'program_limit_exceeded', hint = 'Refuse it to its sender: 552 5.3.4.';
    end if;
    digest := case when coalesce(btrim(a_key), '') = '' then sha256(a_content) else sha256(convert_to(btrim(a_key), 'UTF8')) end;
    select r.environment_id, r.closed_at is not null or coalesce(r.valid_until <= clock_timestamp(), false) as closed into route
    from control.mailbox_route r
    where r.address = (select k.address from control.mailbox_route k where k.address in (btrim(an_address), lower(btrim(an_address)))
                       order by k.address = btrim(an_address) desc limit 1)
    for share;
    if not found then
        return 'unknown';
    end if;
    if route.closed or route.environment_id is null then
        return 'closed';
    end if;
    select e.environment_id, e.inbox_id, e.status, e.schema_name, e.cell into target
    from control.environment e where e.environment_id = route.environment_id for share;
    if not found or target.status = 'retired' or target.status = 'read_only' and exists (
        select from control.transfer t where t.environment_id = target.environment_id and t.state = 'released') then
        return 'closed';
    end if;
    insert into control.delivery (inbox_id, kind, item_digest) values (target.inbox_id, a_kind, digest) on conflict do nothing;
    if not found then
        return 'duplicate';
    end if;
    -- What waits before it goes first; what its environment has refused does not count.
    if target.status = 'active' and target.cell = 'home' and not exists (
        select from control.held_item h where h.inbox_id = target.inbox_id and h.problem is null) then
        perform control.mute_triggers_in(target.schema_name);
        begin
            problem := control.put_item(target.schema_name, a_kind, a_key, an_address, a_name, a_content,
                                        coalesce(a_received_at, clock_timestamp()));
            placed := problem is null;
        exception when read_only_sql_transaction then
            null;
        end;
        perform control.unmute_triggers();
        if placed then
            update control.delivery set delivered_at = clock_timestamp(), delivered_to = target.environment_id
            where inbox_id = target.inbox_id and kind = a_kind and item_digest = digest;
            return 'delivered';
        end if;
    end if;
    insert into control.held_item (inbox_id, kind, item_digest, item_key, address, name, content, received_at, problem, tried_at)
    values (target.inbox_id, a_kind, digest, left(coalesce(a_key, ''), 998), left(an_address, 998), left(coalesce(a_name, ''), 255),
            a_content, coalesce(a_received_at, clock_timestamp()), problem, case when problem is not null then clock_timestamp() end);
    return 'held';
end
$$;

create function control.deliver_mail(address text, message_id text, raw bytea, received_at timestamptz) returns text
language sql security definer
set search_path = pg_catalog, pg_temp as $$
    select control.deliver('mail', address, message_id, '', raw, received_at)
$$;
comment on function control.deliver_mail(text, text, bytea, timestamptz) is
    'Take in a mail, once by its Message-ID: delivered, held (its environment moves), duplicate, closed or unknown. At most 25 MiB.';

create function control.deliver_scan(address text, document_id text, name text, content bytea, received_at timestamptz)
returns text language sql security definer
set search_path = pg_catalog, pg_temp as $$
    select control.deliver('scan', address, document_id, name, content, received_at)
$$;
comment on function control.deliver_scan(text, text, text, bytea, timestamptz) is
    'Take in a scan, once by its document id; the rest as for control.deliver_mail.';

create function control.drain_held(
    an_inbox uuid, an_environment uuid, a_schema text, most integer, most_bytes bigint,
    out mails integer, out scans integer, out refused integer, out more boolean
) language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- Put what waits into an environment of this database, which the caller holds, in the order in which it came: at most so
-- many items and, but for the last one, so many bytes. What it refuses is noted and left; others pass it.
declare
    item record;
    why text;
    size bigint := 0;
begin
    mails := 0; scans := 0; refused := 0;
    perform control.mute_triggers_in(a_schema);
    for item in
        select * from control.held_item h
        where h.inbox_id = an_inbox and (h.problem is null or h.tried_at < clock_timestamp() - interval '10 minutes')
        order by h.item_id limit most
    loop
        why := control.put_item(a_schema, item.kind, item.item_key, item.address, item.name, item.content, item.received_at);
        if why is null then
            perform control.forget_held(item.item_id, an_environment);
            mails := mails + (item.kind = 'mail')::integer;
            scans := scans + (item.kind = 'scan')::integer;
        else
            perform control.set_aside(item.item_id, why);
            refused := refused + 1;
        end if;
        size := size + octet_length(item.content);
        exit when size >= most_bytes;
    end loop;
    perform control.unmute_triggers();
    more := exists (select from control.held_item h where h.inbox_id = an_inbox and h.problem is null);
end
$$;

create function control.held_items(
    a_transfer uuid, after bigint, most integer,
    out item_id bigint, out kind text, out address text, out sender text, out subject text, out received_at timestamptz,
    out bytes integer, out set_aside boolean, out mails bigint, out scans bigint
) returns setof record language sql stable security definer
set search_path = pg_catalog, pg_temp as $$
    -- What waits for the end of a transfer, in the order in which it came, behind an item; never its contents. On each row, how
    -- many there are in all.
    with waiting as (
        select h.* from control.held_item h
        where h.inbox_id = (select e.inbox_id from control.transfer t join control.environment e using (environment_id)
                            where t.transfer_id = a_transfer)
    )
    select w.item_id, w.kind, w.address,
           case w.kind when 'mail' then control.mail_header(w.content, 'from') else '' end,
           case w.kind when 'mail' then control.mail_header(w.content, 'subject') else w.name end,
           w.received_at, octet_length(w.content), w.problem is not null,
           (select count(*) from waiting where waiting.kind = 'mail'), (select count(*) from waiting where waiting.kind = 'scan')
    from waiting w where w.item_id > after order by w.item_id limit most
$$;

create function control.forget_held(an_item bigint, an_environment uuid) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- An item is in its environment: the queue has it no more.
declare
    item record;
begin
    delete from control.held_item where item_id = an_item returning inbox_id, kind, item_digest into item;
    update control.delivery set delivered_at = clock_timestamp(), delivered_to = an_environment
    where inbox_id = item.inbox_id and kind = item.kind and item_digest = item.item_digest;
end
$$;

create function control.set_aside(an_item bigint, why text) returns void language sql
set search_path = pg_catalog, pg_temp as $$
    update control.held_item set problem = why, tried_at = clock_timestamp() where item_id = an_item
$$;

revoke all on all functions in schema control from public;
grant usage on schema control to sb_app;
grant execute on function control.deliver_mail(text, text, bytea, timestamptz),
    control.deliver_scan(text, text, text, bytea, timestamptz) to sb_app, sb_api;
grant execute on function control.held_items(uuid, bigint, integer) to sb_api;
