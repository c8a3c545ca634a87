-- Views with the rows that they had, and a clone of any size taken away again.
-- Runs with search_path = pg_catalog, so every name is qualified.

create function control.drop_clone_objects(a_transfer_id uuid, a_schema text, at_most integer) returns integer
language plpgsql as $$
-- Some of what a clone holds, tables first and partitions before their parents; returns how many there were, and 0 when the
-- rest is little enough to go with the schema. A drop locks whatever it takes away until it commits, and a schema with
-- thousands of objects has more than the server can hold locks for.
declare
    chosen text[];
    one    text;
begin
    perform control.refuse_drop_in_use(a_transfer_id, a_schema);
    select array_agg(format('%I.%I', a_schema, t.relname)) into chosen
    from (select c.relname
          from pg_namespace n
          join pg_depend d on d.refclassid = 'pg_namespace'::regclass and d.refobjid = n.oid
          join pg_class c on d.classid = 'pg_class'::regclass and c.oid = d.objid and c.relkind in ('r', 'p')
          where n.nspname = a_schema
          order by c.relispartition desc, c.oid desc limit at_most) t;
    if chosen is not null then
        execute format('drop table if exists %s cascade', array_to_string(chosen, ', '));
        return array_length(chosen, 1);
    end if;
    select array_agg(format('%s if exists %s', o.kind, o.name)) into chosen
    from (select case i.type when 'statistics object' then 'statistics' else i.type end as kind,
                 case when d.classid = 'pg_proc'::regclass and i.type <> 'aggregate'
                      then format('%I.%I(%s)', a_schema, p.proname, pg_get_function_identity_arguments(p.oid))
                      else i.identity end as name
          from pg_namespace n
          join pg_depend d on d.refclassid = 'pg_namespace'::regclass and d.refobjid = n.oid
              and d.classid in ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass)
          cross join lateral pg_identify_object(d.classid, d.objid, 0) i
          left join pg_proc p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
          where n.nspname = a_schema
            and not exists (select from pg_depend w where w.classid = d.classid and w.objid = d.objid and w.deptype = 'i')
          order by d.objid desc limit at_most) o;
    if coalesce(array_length(chosen, 1), 0) < at_most then
        return 0;
    end if;
    foreach one in array chosen loop
        execute format('drop %s cascade', one);
    end loop;
    return at_most;
end
$$;
revoke execute on function control.drop_clone_objects(uuid, text, integer) from public;

-- PostgreSQL writes into a materialised view only what its query returns, but for one moment: while it refreshes another
-- one concurrently, it lets statements change materialised views. A function in an index of that other one runs then, and
-- runs the statement that the transaction has put down for it. What the query of a view returned then, by that day's clock,
-- that year's rates and that plan's order, is so carried as any other row.

create function control.run_view_rows() returns void language plpgsql as $$
begin
    execute current_setting('sb_transfer.view_rows');
end
$$;
revoke execute on function control.run_view_rows() from public;

create function control.open_for_rows(an_id integer) returns integer language plpgsql immutable as $$
-- Immutable, as an index demands; it is evaluated once, for the one row that the view of `write_view_rows` gets.
begin
    perform control.run_view_rows();
    return an_id;
end
$$;
revoke execute on function control.open_for_rows(integer) from public;

create function control.write_view_rows(a_schema text, a_view text, columns text, query text) returns void
language plpgsql as $$
-- Put the rows of a query in the place of those of a materialised view that has been filled.
begin
    perform set_config('sb_transfer.view_rows', '', true);
    execute format('create materialized view %I.sb_transfer_opener as '
                   'select 1 as id where current_setting(''sb_transfer.view_rows'') <> %L', a_schema, '');
    execute format('create unique index on %I.sb_transfer_opener (id)', a_schema);
    execute format('create index on %I.sb_transfer_opener (control.open_for_rows(id))', a_schema);
    perform set_config('sb_transfer.view_rows', format('delete from %I.%I', a_schema, a_view)
        || case when columns = '' then '' else format('; insert into %I.%I (%s) %s', a_schema, a_view, columns, query) end, true);
    execute format('refresh materialized view concurrently %I.sb_transfer_opener', a_schema);
    execute format('drop materialized view %I.sb_transfer_opener', a_schema);
end
$$;
revoke execute on function control.write_view_rows(text, text, text, text) from public;
