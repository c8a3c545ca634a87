-- What the server says of tables, views, sequences and what hangs on them, as rows (object, fact, definition). Two equal
-- environments give equal rows, but for the schema's own name, and a definition that still points at another schema shows.
-- It shares nothing with the clone engine: a mistake made in both would stay unseen.

-- name: relations
-- Tables, views, materialised views, sequences and composite types, each as a whole.
select case c.relkind when 'v' then 'view ' when 'm' then 'materialized view ' when 'S' then 'sequence '
                      when 'f' then 'foreign table ' when 'c' then 'type ' else '' end || c.relname as object,
       f.fact, f.definition
from pg_class c
left join pg_am a on a.oid = c.relam
left join pg_tablespace s on s.oid = c.reltablespace
cross join lateral (values
    ('kind', c.relkind::text),
    ('owner', pg_get_userbyid(c.relowner)::text),
    ('persistence', c.relpersistence::text),
    ('access method', a.amname::text),
    ('tablespace', s.spcname::text),
    ('options', nullif(array(select o from unnest(c.reloptions) o order by o)::text, '{}')),
    ('options of its TOAST table', (select nullif(array(select o from unnest(t.reloptions) o order by o)::text, '{}')
                                    from pg_class t where t.oid = c.reltoastrelid)),
    ('row security', case when c.relrowsecurity then 'on' else 'off' end
                     || case when c.relforcerowsecurity then ', forced' else '' end),
    ('replica identity', c.relreplident::text),
    ('populated', c.relispopulated::text),
    ('type of its rows', case when c.reloftype <> 0 then format_type(c.reloftype, null) end),
    ('partition key', case when c.relkind = 'p' then pg_get_partkeydef(c.oid) end),
    ('partition bound', pg_get_expr(c.relpartbound, c.oid)),
    ('parents', (select string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno)
                 from pg_inherits i where i.inhrelid = c.oid)),
    ('definition', case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end),
    -- What a value of its row type means, and an INSERT without names, hangs on it.
    ('order of columns', case when c.relkind in ('r', 'p', 'c', 'f') then
                         (select string_agg(quote_ident(b.attname), ', ' order by b.attnum)
                          from pg_attribute b where b.attrelid = c.oid and b.attnum > 0 and not b.attisdropped) end),
    ('comment', obj_description(c.oid, 'pg_class'))
) as f (fact, definition)
where c.oid = any((select current_setting('sb_verify.relations')::oid[])::oid[]) and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f', 'c')
  and f.definition is not null

-- name: columns
-- Live columns by name: where dropped ones stood does not matter. What is as usual is left out: an environment may have
-- tens of thousands of columns.
select case c.relkind when 'v' then 'view ' when 'm' then 'materialized view ' when 'f' then 'foreign table '
                      when 'c' then 'type ' else '' end || c.relname as object,
       'column ' || quote_ident(a.attname) || f.fact as fact, f.definition
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_collation o on o.oid = a.attcollation and a.attcollation <> t.typcollation
cross join lateral (values
    ('', format_type(a.atttypid, a.atttypmod)),
    (': not null', nullif(a.attnotnull, false)::text),
    (': default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end),
    (': generated', case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end),
    (': kept', nullif(a.attgenerated::text, '')),
    (': identity', nullif(a.attidentity::text, '')),
    (': collation', o.oid::regcollation::text),
    (': storage', case when a.attstorage <> t.typstorage then a.attstorage::text end),
    (': compression', nullif(a.attcompression::text, '')),
    (': statistics target', case when a.attstattarget >= 0 then a.attstattarget::text end),
    (': options', nullif(array(select p from unnest(a.attoptions) p order by p)::text, '{}')),
    (': inherited', case when a.attinhcount > 0 then a.attinhcount || case when a.attislocal then ', and its own' else '' end end),
    (': comment', col_description(c.oid, a.attnum))
) as f (fact, definition)
where c.oid = any((select current_setting('sb_verify.relations')::oid[])::oid[]) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
  and f.definition is not null

-- name: indexes
-- Indexes, also those behind constraints, by name.
select case t.relkind when 'm' then 'materialized view ' else '' end || t.relname as object,
       'index ' || quote_ident(c.relname) || f.fact as fact, f.definition
from pg_class t
join pg_index i on i.indrelid = t.oid
join pg_class c on c.oid = i.indexrelid
left join pg_tablespace s on s.oid = c.reltablespace
cross join lateral (values
    ('', pg_get_indexdef(i.indexrelid)),
    (': state', concat_ws(', ', case when i.indisvalid and i.indisready then 'valid' else 'invalid' end,
                          case when i.indisclustered then 'clustered' end, case when i.indisreplident then 'replica identity' end,
                          case when i.indisprimary then 'primary' end, case when not i.indimmediate then 'deferrable' end)),
    (': tablespace', s.spcname::text),
    (': parent', (select h.inhparent::regclass::text from pg_inherits h where h.inhrelid = i.indexrelid)),
    (': statistics targets', (select string_agg(a.attnum || '=' || a.attstattarget, ', ' order by a.attnum)
                              from pg_attribute a where a.attrelid = c.oid and a.attstattarget >= 0)),
    (': comment', obj_description(c.oid, 'pg_class'))
) as f (fact, definition)
where t.oid = any((select current_setting('sb_verify.relations')::oid[])::oid[]) and t.relkind in ('r', 'p', 'm') and f.definition is not null

-- name: constraints
-- Constraints of tables and domains. NOT NULL goes by its column, for not every version gives it a name. Of foreign keys,
-- those that a partition has by its parent's are there with their names; the server's own copies for the partitions of
-- what is referred to are not.
select case when k.contypid <> 0 then 'type ' || d.typname
            else case c.relkind when 'f' then 'foreign table ' else '' end || c.relname end as object,
       case when k.contype = 'n' then pg_get_constraintdef(k.oid) else 'constraint ' || quote_ident(k.conname) end || f.fact as fact,
       f.definition
from (select * from pg_constraint where conrelid = any((select current_setting('sb_verify.relations')::oid[])::oid[])
      union all
      select * from pg_constraint where contypid = any((select current_setting('sb_verify.types')::oid[])::oid[])) k
left join lateral (select * from pg_class where oid = k.conrelid offset 0) c on true
left join lateral (select * from pg_type where oid = k.contypid offset 0) d on true
left join lateral (select * from pg_constraint where oid = k.conparentid and k.contype = 'f' offset 0) up on true
cross join lateral (values
    ('', pg_get_constraintdef(k.oid)),
    (': name', case when k.contype = 'n' then k.conname::text end),
    -- A partition's NOT NULL may be its own or not, by the order in which it and the primary key came; it cannot be
    -- dropped either way.
    (': inherited', case when k.coninhcount > 0 then k.coninhcount || case
        when k.conislocal and not (k.contype = 'n' and c.relispartition) then ', and its own' else '' end end),
    (': validated', case when not k.convalidated then 'no' end),
    (': enforcement', case when k.contype = 'f' then
        (select string_agg(distinct g.tgenabled::text, '') from pg_trigger g where g.tgconstraint = k.oid) end),
    (': comment', obj_description(k.oid, 'pg_constraint'))
) as f (fact, definition)
where k.contype <> 't' and f.definition is not null and up.conrelid is distinct from k.conrelid

-- name: triggers
-- Triggers with their state. The write fence belongs to a move, not to an environment.
select case c.relkind when 'v' then 'view ' when 'f' then 'foreign table ' else '' end || c.relname as object,
       'trigger ' || quote_ident(g.tgname) || f.fact as fact, f.definition
from pg_class c
join pg_trigger g on g.tgrelid = c.oid
cross join lateral (values
    ('', pg_get_triggerdef(g.oid)),
    (': enabled', g.tgenabled::text),
    (': comes from its parent', nullif(g.tgparentid <> 0, false)::text),
    (': comment', obj_description(g.oid, 'pg_trigger'))
) as f (fact, definition)
where c.oid = any((select current_setting('sb_verify.relations')::oid[])::oid[]) and g.tgname <> 'sb_transfer_fence'
  -- Before PostgreSQL 15 a partition's part of a trigger looks internal.
  and (not g.tgisinternal or g.tgparentid <> 0 and not exists (
      select from pg_constraint k where k.oid = g.tgconstraint and k.contype <> 't'))
  and f.definition is not null

-- name: rules
-- Rewrite rules other than the ones that make views.
select case c.relkind when 'v' then 'view ' else '' end || c.relname as object,
       'rule ' || quote_ident(r.rulename) || f.fact as fact, f.definition
from pg_class c
join pg_rewrite r on r.ev_class = c.oid
cross join lateral (values
    ('', pg_get_ruledef(r.oid)),
    (': enabled', r.ev_enabled::text),
    (': comment', obj_description(r.oid, 'pg_rewrite'))
) as f (fact, definition)
where c.oid = any((select current_setting('sb_verify.relations')::oid[])::oid[]) and r.rulename <> '_RETURN' and f.definition is not null

-- name: policies
-- Row security policies.
select c.relname::text as object, 'policy ' || quote_ident(p.polname) || f.fact as fact, f.definition
from pg_class c
join pg_policy p on p.polrelid = c.oid
cross join lateral (values
    ('', p.polcmd::text || case when p.polpermissive then ' permissive' else ' restrictive' end),
    (': roles', array(select case r when 0 then 'public' else pg_get_userbyid(r)::text end as role
                      from unnest(p.polroles) r order by 1)::text),
    (': using', pg_get_expr(p.polqual, p.polrelid)),
    (': with check', pg_get_expr(p.polwithcheck, p.polrelid)),
    (': comment', obj_description(p.oid, 'pg_policy'))
) as f (fact, definition)
where c.oid = any((select current_setting('sb_verify.relations')::oid[])::oid[]) and f.definition is not null

-- name: sequences
-- How sequences count and whose they are. Where they stand is asked of each.
select 'sequence ' || c.relname as object, f.fact, f.definition
from pg_class c
cross join lateral (select * from pg_sequence where seqrelid = c.oid offset 0) s
cross join lateral (values
    ('type', format_type(s.seqtypid, null)),
    ('parameters', format('start %s, increment %s, minimum %s, maximum %s, cache %s, cycle %s', s.seqstart,
                          s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)),
    ('owned by', (select d.deptype::text || ' ' || d.refobjid::regclass || '.' || quote_ident(a.attname)
                  from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
                  where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.objsubid = 0
                    and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')))
) as f (fact, definition)
where c.oid = any((select current_setting('sb_verify.relations')::oid[])::oid[]) and f.definition is not null
