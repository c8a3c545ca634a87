-- Code that an environment holds, and that has to run, runs as a role that may do nothing else, where it can become no other.
--
-- PostgreSQL has such a place: what computes an index, fills a materialised view or analyses a table runs as the table's owner
-- in a security-restricted operation. No role can be set there, no statement be prepared, no cursor be held, nothing be
-- deferred until the commit; and what is set is put back at its end. So a statement that has to run an environment's code is
-- put down as a setting, and an index of a table with one row, which belongs to that role, runs it; in the transaction of
-- whoever asks. (SET ROLE can be taken back by any function, and SECURITY DEFINER leaves prepared statements, held cursors and
-- deferred triggers behind, which then run as the session's own role.)
--
-- What such a statement reads or writes it is given by views of sb_owner's: the right to the tables is then the view's owner's,
-- and every function is called as the role.

create function control.run_contained() returns void language plpgsql as $$
-- Names that the statement's functions use are found on the path of whoever asked; hence every function here has its schema in
-- front.
begin
    perform pg_catalog.set_config('search_path', pg_catalog.current_setting('sb_transfer.contained_path'), true);
    execute pg_catalog.current_setting('sb_transfer.contained');
end
$$;

create function control.contain(an_id integer) returns integer language plpgsql immutable
set search_path = pg_catalog, pg_temp as $$
-- Immutable, as an index demands; it is evaluated once, for the one row of the table that `contained` makes.
begin
    perform control.run_contained();
    return an_id;
end
$$;

create function control.contained(carrier name, statement text) returns void language plpgsql as $$
-- Run a statement as a role of which sb_owner is a member, with the search_path of whoever asks.
begin
    perform pg_catalog.set_config('sb_transfer.contained_path', pg_catalog.current_setting('search_path'), true),
            pg_catalog.set_config('sb_transfer.contained', statement, true);
    create temporary table sb_contained as select 1 as id;
    execute pg_catalog.format('alter table pg_temp.sb_contained owner to %I', carrier);
    create index on pg_temp.sb_contained (control.contain(id));
    drop table pg_temp.sb_contained;
end
$$;

create function control.prepare_answers(question text, answers name) returns void language plpgsql as $$
-- Bind a question's names, and make a temporary table for its answers. Nothing is planned or run.
begin
    execute pg_catalog.concat('create temporary view sb_question as ', question);
    execute pg_catalog.format('create temporary table %I on commit drop as table pg_temp.sb_question with no data', answers);
end
$$;

create function control.ask_contained(carrier name, question text, path text, answers name) returns void
language plpgsql as $$
-- Put the answers to a question into a temporary table. Its functions are called as a role, with another search_path if there is
-- one.
begin
    perform control.prepare_answers(question, answers);
    execute pg_catalog.format('grant select on pg_temp.sb_question to %I', carrier);
    execute pg_catalog.format('grant insert on pg_temp.%I to %I', answers, carrier);
    if path is not null then
        perform pg_catalog.set_config('search_path', path, true);
    end if;
    perform control.contained(carrier,
        pg_catalog.format('insert into pg_temp.%I select * from pg_temp.sb_question', answers));
    drop view pg_temp.sb_question;
end
$$;

create function control.let_in(carrier name, a_schema text, writes boolean) returns text language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- Let a role find what a schema holds, read all tables there, or write them too, and call its routines, as far as that is
-- sb_owner's to give; and those routines in public that run as whoever calls them. Returns the statements that take it back.
declare
    wanted constant text := case when writes then 'select, insert, update, delete' else 'select' end;
    taken text[] := '{}';
    things text;
begin
    -- Two at once would be told that a tuple was concurrently updated.
    perform pg_advisory_xact_lock(hashtextextended('control.let_in ' || a_schema, 0));
    if exists (select from pg_namespace where nspname = a_schema and pg_has_role(nspowner, 'usage')
               and not has_schema_privilege(carrier, oid, 'usage')) then
        execute format('grant usage on schema %I to %I', a_schema, carrier);
        taken := array_append(taken, format('revoke usage on schema %I from %I', a_schema, carrier));
    end if;
    select string_agg(format('%I.%I', a_schema, c.relname), ', ') into things
    from control.relations_in(a_schema, 'rpvmfS') c
    where pg_has_role(c.relowner, 'usage')
      and not (has_table_privilege(carrier, c.oid, 'select') and (not writes or has_table_privilege(carrier, c.oid, 'update')));
    if things is not null then
        execute format('grant %s on %s to %I', wanted, things, carrier);
        taken := array_append(taken, format('revoke %s on %s from %I', wanted, things, carrier));
    end if;
    select string_agg(p.oid::regprocedure::text, ', ') into things
    from pg_namespace n
    join pg_depend d on d.refclassid = 'pg_namespace'::regclass and d.refobjid = n.oid and d.classid = 'pg_proc'::regclass
    join pg_proc p on p.oid = d.objid
    where n.nspname in (a_schema, 'public') and (n.nspname = a_schema or not p.prosecdef)
      and pg_has_role(p.proowner, 'usage') and not has_function_privilege(carrier, p.oid, 'execute');
    if things is not null then
        -- What is in public is everybody's.
        perform pg_advisory_xact_lock(hashtextextended('control.let_in', 0));
        execute format('grant execute on routine %s to %I', things, carrier);
        taken := array_append(taken, format('revoke execute on routine %s from %I', things, carrier));
    end if;
    return array_to_string(array_append(taken, 'select'), ';');
end
$$;

create function control.is_harmless(p pg_catalog.pg_proc) returns boolean language sql stable as $$
-- Whether a function can run nothing that somebody has made. The server's own can not, but for those that run a statement, call a
-- type's input or write; nor can those that are written in C and always return the same, which only a superuser can make.
    select case when p.oid operator(pg_catalog.<) 16384
        then not 'pg_catalog.cstring'::pg_catalog.regtype operator(pg_catalog.=) any (p.proargtypes)
             and p.proname operator(pg_catalog.!~) 'xml|^pg_input_'
             and (p.provolatile in ('i', 's') or p.proname in (
                 'nextval', 'clock_timestamp', 'timeofday', 'random', 'gen_random_uuid', 'uuidv4', 'uuidv7'))
        else p.provolatile operator(pg_catalog.=) 'i'
             and p.prolang operator(pg_catalog.=) (select oid from pg_catalog.pg_language where lanname operator(pg_catalog.=) 'c') end
$$;

create function control.is_worked_out(tree text) returns boolean language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
-- Whether an expression, as the catalog has it, calls code that somebody has made for constants alone: the server works such a
-- part out when it reads the definition, as whoever it reads it for.
declare
    columns boolean[] := '{}';
    calls boolean[] := '{}';
    token text;
    depth integer := 0;
begin
    for token in
        select m.part[1] from regexp_matches(tree, '(\\.|\{[A-Z]*|\}|:(?:funcid|opfuncid) \d+)', 'g') m (part)
    loop
        if token like '{%' then
            depth := depth + 1;
            columns[depth] := token = '{VAR';
            calls[depth] := false;
        elsif token like ':%' then
            calls[depth] := calls[depth] or not exists (
                select from pg_proc p where p.oid = split_part(token, ' ', 2)::oid and control.is_harmless(p));
        elsif token = '}' then
            if calls[depth] and not columns[depth] then
                return true;
            end if;
            depth := depth - 1;
            if depth > 0 then
                columns[depth] := columns[depth] or columns[depth + 1];
                calls[depth] := calls[depth] or calls[depth + 1];
            end if;
        end if;
    end loop;
    return false;
end
$$;

create function control.tables_with_code(relations oid[]) returns setof oid language plpgsql stable
-- To plan this takes five times as long as to run it.
set plan_cache_mode = force_generic_plan
set search_path = pg_catalog, pg_temp as $$
-- Those relations where to write a row may run code that somebody has made: by what its expressions call (that is in
-- pg_depend, but for the server's own functions, whose numbers stand in the expressions), by its types, rules and triggers.
begin
    return query
    with rel as materialized (
        select c.oid, c.relkind, c.relforcerowsecurity from pg_class c where c.oid = any (relations)
    ), part (rel, class, id) as (
        select oid, 'pg_class'::regclass, oid from rel
        union all
        select k.conrelid, 'pg_constraint'::regclass, k.oid from rel join pg_constraint k on k.conrelid = rel.oid
        union all
        select a.adrelid, 'pg_attrdef'::regclass, a.oid from rel join pg_attrdef a on a.adrelid = rel.oid
        union all
        select x.indrelid, 'pg_class'::regclass, x.indexrelid from rel join pg_index x on x.indrelid = rel.oid
        union all
        select s.stxrelid, 'pg_statistic_ext'::regclass, s.oid from rel join pg_statistic_ext s on s.stxrelid = rel.oid
    ), used as materialized (
        select p.rel, d.refclassid as class, d.refobjid as id
        from part p cross join lateral (select * from pg_depend where classid = p.class and objid = p.id offset 0) d
        where d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass,
                               'pg_type'::regclass)
    ), expression (rel, tree) as (
        select k.conrelid, k.conbin::text from rel join pg_constraint k on k.conrelid = rel.oid and k.conbin is not null
        union all
        select a.adrelid, a.adbin::text from rel join pg_attrdef a on a.adrelid = rel.oid
        union all
        select x.indrelid, concat(x.indexprs::text, x.indpred::text) from rel join pg_index x on x.indrelid = rel.oid
        union all
        select s.stxrelid, s.stxexprs::text from rel join pg_statistic_ext s on s.stxrelid = rel.oid
        union all
        select t.partrelid, t.partexprs::text from rel join pg_partitioned_table t on t.partrelid = rel.oid
    ), called (rel, id) as (
        select rel, id from used where class = 'pg_proc'::regclass
        union all
        select u.rel, o.oprcode from used u join pg_operator o on u.class = 'pg_operator'::regclass and o.oid = u.id
        union all
        select e.rel, split_part(m.rest, ' ', 1)::oid from expression e
        cross join lateral unnest(string_to_array(replace(e.tree, ':opfuncid ', ':funcid '), ':funcid ')) with ordinality m (rest, place)
        where m.place > 1
        union all
        -- What turns a value of a type into another's, which the server's own functions look for.
        select u.rel, k.castfunc from used u join pg_type t on u.class = 'pg_type'::regclass and t.oid = u.id
        join pg_cast k on k.castsource = coalesce(nullif(t.typelem, 0), t.oid) and k.castfunc <> 0
    )
    select r.oid from rel r
    where r.relkind not in ('r', 'p') or r.relforcerowsecurity
       or exists (select from pg_rewrite w where w.ev_class = r.oid)
       or exists (select from pg_trigger t where t.tgrelid = r.oid and not t.tgisinternal and t.tgenabled in ('A', 'R')
                  and t.tgname <> 'sb_transfer_fence')
       or exists (select from used u where u.rel = r.oid and u.class in ('pg_opclass'::regclass, 'pg_opfamily'::regclass)
                  and not exists (select from pg_depend e where e.classid = u.class and e.objid = u.id and e.deptype = 'e'))
       or exists (select from used u join pg_type t on u.class = 'pg_type'::regclass and t.oid = u.id
                  left join pg_type e on e.oid = t.typelem and t.typtype = 'b'
                  where u.rel = r.oid and coalesce(e.typtype, t.typtype) not in ('b', 'e'))
       or exists (
           select from called c left join pg_proc p on p.oid = c.id
           where c.rel = r.oid and not coalesce(control.is_harmless(p), false));
end
$$;

create function control.runs_code(a_schema text, tables text[]) returns boolean language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
-- Whether to write into some tables, or those that inherit from them, may run code that somebody has made; triggers too, where
-- this service may not mute them.
declare
    whole oid[];
begin
    with recursive heirs (oid) as (
        select c.oid from pg_namespace n join pg_class c on c.relnamespace = n.oid and c.relname = any (tables::name[])
        where n.nspname = a_schema
        union
        select i.inhrelid from heirs h join pg_inherits i on i.inhparent = h.oid
    )
    select array_agg(oid) into whole from heirs;
    return exists (select from control.tables_with_code(whole))
        or current_setting('session_replication_role') <> 'replica' and exists (
            select from pg_trigger t
            where t.tgrelid = any (whole) and not t.tgisinternal and t.tgenabled <> 'D' and t.tgname <> 'sb_transfer_fence');
end
$$;

create function control.contained_in(a_schema text, path text, statement text, source text default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- Run a statement that writes rows of an environment as the role that can do nothing, with a search_path; code that cannot do
-- without looks into its own environment, and writes there. Of the source that rows come from, such code may read.
declare
    taken_back text;
begin
    perform set_config('search_path', path, true);
    begin
        perform control.contained('sb_carrier', statement);
    exception when syntax_error_or_access_rule_violation then
        -- What it may not find is not there for it.
        taken_back := control.let_in('sb_carrier', a_schema, true);
        if source is not null then
            taken_back := concat_ws(';', control.let_in('sb_carrier', source, false), taken_back);
        end if;
        perform control.contained('sb_carrier', statement);
        execute taken_back;
    end;
end
$$;

create function control.lend_view(a_schema text, a_table text) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- Make a view of a table by which the role that can do nothing writes it; with who wrote each row, where that is kept.
begin
    execute format('create temporary view sb_written as select %s from %I.%I',
                   case when (select relkind in ('r', 'p') from pg_class where oid = format('%I.%I', a_schema, a_table)::regclass)
                        then '*, xmin' else '*' end, a_schema, a_table);
    grant select, insert, update on pg_temp.sb_written to sb_carrier;
end
$$;

create function control.write_each(a_schema text, tables text[], statements text[]) returns jsonb[] language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- Run statements that change tables of an environment, each the table at its place: contained where that runs code of the
-- environment's. In a statement `{table}` is the table, and `{told}` stands before the query whose only value, if there is one,
-- is returned.
declare
    careful constant boolean := control.runs_code(a_schema, tables);
    answers jsonb[] := '{}';
    statement text;
    told jsonb;
begin
    if careful then
        create temporary table sb_told (told jsonb) on commit drop;
        grant insert on pg_temp.sb_told to sb_carrier;
    end if;
    for i in 1 .. array_length(statements, 1) loop
        told := null;
        if careful then
            statement := replace(replace(statements[i], '{table}', 'pg_temp.sb_written'), '{told}', 'insert into pg_temp.sb_told');
            perform control.lend_view(a_schema, tables[i]);
            perform control.contained_in(a_schema, format('pg_catalog, %I, pg_temp', a_schema), statement);
            execute 'select told from pg_temp.sb_told' into told;
            drop view pg_temp.sb_written;
            truncate pg_temp.sb_told;
        else
            statement := replace(replace(statements[i], '{table}', format('%I.%I', a_schema, tables[i])), '{told}', '');
            if strpos(statements[i], '{told}') > 0 then
                execute statement into told;
            else
                execute statement;
            end if;
        end if;
        answers := array_append(answers, told);
    end loop;
    if careful then
        drop table pg_temp.sb_told;
    end if;
    return answers;
end
$$;

create function control.write(a_schema text, a_table text, statement text) returns jsonb language sql
set search_path = pg_catalog, pg_temp as $$
    select (control.write_each(a_schema, array[a_table], array[statement]))[1]
$$;

create function control.lend(a_schema text, tables text[]) returns text[] language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- Let tables and materialised views of a copy that are this service's be the role's that can do nothing, and return which: as
-- their owner it runs what the server computes for an index, a refresh and statistics.
declare
    mine text[];
    one text;
begin
    execute format('grant usage, create on schema %I to sb_carrier', a_schema);
    select coalesce(array_agg(c.relname order by c.oid), '{}') into mine
    from pg_namespace n join pg_class c on c.relnamespace = n.oid and c.relname = any (tables::name[])
    where n.nspname = a_schema and c.relowner = (select oid from pg_roles where rolname = current_user);
    foreach one in array mine loop
        execute format('alter table %I.%I owner to sb_carrier', a_schema, one);
    end loop;
    return mine;
end
$$;

create function control.give_back(a_schema text, tables text[]) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- And be this service's again.
declare
    one text;
begin
    foreach one in array tables loop
        execute format('alter table %I.%I owner to current_user', a_schema, one);
    end loop;
    execute format('revoke usage, create on schema %I from sb_carrier', a_schema);
end
$$;

create function control.make_table(a_schema text, a_table text, statement text) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- Run a statement that makes a table of a copy as the role that can do nothing, for the server works parts of it out.
declare
    taken_back text;
begin
    perform control.lend(a_schema, '{}');
    taken_back := control.let_in('sb_carrier', a_schema, true);
    perform control.contained('sb_carrier', statement);
    execute taken_back;
    perform control.give_back(a_schema, array[a_table]);
end
$$;

create function control.show_rows(a_schema text, a_relation text, columns text, expressions text, condition text) returns void
language plpgsql as $$
-- Let the role that can do nothing read rows by a view, with the search_path of whoever asks.
begin
    execute case when columns = ''
        then pg_catalog.format('create temporary view sb_rows as select 1 as one from only %I.%I where %s', a_schema, a_relation, condition)
        else pg_catalog.format('create temporary view sb_rows (%s) as select %s from only %I.%I where %s', columns, expressions,
                               a_schema, a_relation, condition) end;
    grant select on pg_temp.sb_rows to sb_carrier;
end
$$;

create function control.place_rows(a_schema text, a_table text, columns text, query text, source text default null) returns bigint
language plpgsql as $$
-- Put the rows of a query, which the role that can do nothing may read, into a table of a copy as that role, with the
-- search_path of whoever asks; returns how many these were.
declare
    placed bigint;
begin
    create temporary table sb_placed (rows bigint) on commit drop;
    grant insert on pg_temp.sb_placed to sb_carrier;
    if columns <> '' then
        execute pg_catalog.format('create temporary view sb_place as select %s from %I.%I', columns, a_schema, a_table);
        grant insert on pg_temp.sb_place to sb_carrier;
    end if;
    perform control.contained_in(a_schema, pg_catalog.current_setting('search_path'), pg_catalog.format('do %L', pg_catalog.format(
        'declare placed bigint; begin insert into %s %s; get diagnostics placed = row_count; '
        'insert into pg_temp.sb_placed values (placed); end',
        case when columns = '' then pg_catalog.format('%I.%I', a_schema, a_table)
             else pg_catalog.format('pg_temp.sb_place (%s) overriding system value', columns) end, query)), source);
    execute 'select rows from pg_temp.sb_placed' into placed;
    drop table pg_temp.sb_placed;
    drop view if exists pg_temp.sb_place;
    return placed;
end
$$;

create function control.stage(a_schema text, a_relation text, names text[]) returns text language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- Make a table for rows on their way from another database, whose types have no code of anybody's; returns how the relation's
-- columns are read from it.
declare
    definitions text;
    expressions text;
begin
    select coalesce(string_agg(format('%I %s', a.attname, case
                   when not found.plain then 'text'
                   when t.typtype = 'd' then format_type(b.oid, null)
                   else format_type(a.atttypid, a.atttypmod) end), ', ' order by w.place), ''),
           coalesce(string_agg(format('%I::%s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by w.place), '')
    into definitions, expressions
    from pg_namespace n
    join pg_class c on c.relnamespace = n.oid and c.relname = a_relation
    cross join unnest(names) with ordinality w (name, place)
    join pg_attribute a on a.attrelid = c.oid and a.attname = w.name
    join pg_type t on t.oid = a.atttypid
    cross join lateral (
        with recursive under (id, base) as (
            select t.oid, t.typbasetype
            union all
            select y.oid, y.typbasetype from under u join pg_type y on y.oid = u.base
        )
        select y.* from under u join pg_type y on y.oid = u.id where u.base = 0
    ) b
    left join pg_type e on e.oid = b.typelem and b.typtype = 'b'
    cross join lateral (select coalesce(e.typtype, b.typtype) in ('b', 'e') or b.oid < 16384 as plain) found
    where n.nspname = a_schema;
    execute format('create temporary table sb_staging (%s) on commit drop', definitions);
    grant select on pg_temp.sb_staging to sb_carrier;
    return expressions;
end
$$;

create function control.write_view_rows(a_schema text, a_view text, columns text, query text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- Put the rows of a query in the place of those of a materialised view that has been filled, and is lent: as the role that can do
-- nothing. PostgreSQL writes into a materialised view only what its query returns, but for one moment: while it refreshes
-- another one concurrently, it lets statements change materialised views. A function in an index of that other one runs
-- then, and runs the statement that the transaction has put down for it. What the query of a view returned then, by that
-- day's clock, that year's rates and that plan's order, is so carried as any other row.
begin
    perform set_config('sb_transfer.view_rows', '', true);
    execute format('create materialized view %I.sb_transfer_opener as '
                   'select 1 as id where current_setting(''sb_transfer.view_rows'') <> %L', a_schema, '');
    execute format('create unique index on %I.sb_transfer_opener (id)', a_schema);
    execute format('create index on %I.sb_transfer_opener (control.contain(id))', a_schema);
    execute format('alter table %I.sb_transfer_opener owner to sb_carrier', a_schema);
    perform set_config('sb_transfer.view_rows', 'there is one', true),
            set_config('sb_transfer.contained_path', format('%I, public', a_schema), true),
            set_config('sb_transfer.contained', format('delete from %I.%I', a_schema, a_view)
                || case when columns = '' then '' else format('; insert into %I.%I (%s) %s', a_schema, a_view, columns, query) end, true);
    execute format('refresh materialized view concurrently %I.sb_transfer_opener', a_schema);
    execute format('drop materialized view %I.sb_transfer_opener', a_schema);
end
$$;

revoke all on all functions in schema control from public;
grant usage on schema control to sb_carrier;

-- Tables in public are for all environments.
alter default privileges in schema public grant select on tables to sb_carrier;
do $$
declare
    quoted text;
begin
    for quoted in
        select format('%I.%I', n.nspname, c.relname) from pg_namespace n join pg_class c on c.relnamespace = n.oid
        where n.nspname = 'public' and c.relkind in ('r', 'p', 'v', 'm', 'f') and pg_has_role(c.relowner, 'usage')
    loop
        execute 'grant select on ' || quoted || ' to sb_carrier';
    end loop;
end $$;
grant execute on function control.run_contained(), control.contain(integer) to sb_carrier;
