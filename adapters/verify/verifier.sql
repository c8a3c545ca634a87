-- What the verifier asks. It shares nothing with the clone engine: a mistake made in both would stay unseen.
-- The facts_ statements describe one schema ($1) as rows (object, fact, definition). They run with search_path set to
-- that schema, so that the server writes its names unqualified and those of every other schema qualified: the facts of
-- two equal schemas are equal texts, and a definition that still points at the old one is not. Functions are qualified,
-- so that none in a customer's schema is called in their place.
-- Braces in hash_rows and the statements under it are filled with expressions made of names that the server quoted.

-- name: enter
-- What text and hashes depend on, for one transaction. Row security is refused instead of silently hiding rows.
select pg_catalog.set_config(s.name, s.value, true)
from (values ('search_path', case when $1::text is null then 'pg_catalog' else pg_catalog.quote_ident($1::text) end),
             ('timezone', 'UTC'), ('datestyle', 'ISO, YMD'), ('intervalstyle', 'iso_8601'),
             ('extra_float_digits', '3'), ('bytea_output', 'hex'), ('xmloption', 'content'),
             ('row_security', 'off'), ('statement_timeout', '0'), ('jit', 'off'),
             ('max_parallel_workers_per_gather', '0')) as s (name, value)

-- name: schema_exists
-- Whether there is such a schema.
select exists (select from pg_catalog.pg_namespace where nspname = $1)

-- name: server
-- The server's version without what a packager adds.
select pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1)

-- name: facts_relations
-- Tables, views, materialised views, sequences and composite types, each as a whole.
select case c.relkind when 'v' then 'view ' when 'm' then 'materialized view ' when 'S' then 'sequence '
                      when 'f' then 'foreign table ' when 'c' then 'type ' else '' end || c.relname::text as object,
       f.fact, f.definition
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_am a on a.oid = c.relam
left join pg_catalog.pg_tablespace s on s.oid = c.reltablespace
cross join lateral (values
    ('kind', c.relkind::text),
    ('owner', pg_catalog.pg_get_userbyid(c.relowner)::text),
    ('persistence', c.relpersistence::text),
    ('access method', a.amname::text),
    ('tablespace', s.spcname::text),
    ('options', nullif(array(select o from pg_catalog.unnest(c.reloptions) o order by o)::text, '{}')),
    ('options of its TOAST table', (select nullif(array(select o from pg_catalog.unnest(t.reloptions) o order by o)::text,
                                                   '{}')
                                    from pg_catalog.pg_class t where t.oid = c.reltoastrelid)),
    ('row security', case when c.relrowsecurity then 'on' else 'off' end
                     || case when c.relforcerowsecurity then ', forced' else '' end),
    ('replica identity', c.relreplident::text),
    ('populated', c.relispopulated::text),
    ('type of its rows', case when c.reloftype <> 0 then pg_catalog.format_type(c.reloftype, null) end),
    ('partition key', case when c.relkind = 'p' then pg_catalog.pg_get_partkeydef(c.oid) end),
    ('partition bound', pg_catalog.pg_get_expr(c.relpartbound, c.oid)),
    ('parents', (select pg_catalog.string_agg(i.inhparent::pg_catalog.regclass::text, ', ' order by i.inhseqno)
                 from pg_catalog.pg_inherits i where i.inhrelid = c.oid)),
    ('definition', case when c.relkind in ('v', 'm') then pg_catalog.pg_get_viewdef(c.oid) end),
    -- Where parents decide, columns may stand in another order than they came to stand by later changes.
    ('order of columns', case when c.relkind in ('r', 'p', 'c')
                                   and not exists (select from pg_catalog.pg_inherits i where i.inhrelid = c.oid) then
                         (select pg_catalog.string_agg(pg_catalog.quote_ident(b.attname::text), ', ' order by b.attnum)
                          from pg_catalog.pg_attribute b
                          where b.attrelid = c.oid and b.attnum > 0 and not b.attisdropped) end),
    ('comment', pg_catalog.obj_description(c.oid, 'pg_class'))
) as f (fact, definition)
where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f', 'c') and f.definition is not null

-- name: facts_schema
-- The schema's own comment. Who may use it is settled when an environment is opened.
select 'schema' as object, 'comment' as fact, pg_catalog.obj_description(n.oid, 'pg_namespace') as definition
from pg_catalog.pg_namespace n
where n.nspname = $1 and pg_catalog.obj_description(n.oid, 'pg_namespace') is not null

-- name: facts_columns
-- Live columns by name: where dropped ones stood does not matter. What is as usual is left out: an environment may have
-- tens of thousands of columns.
select case c.relkind when 'v' then 'view ' when 'm' then 'materialized view ' when 'f' then 'foreign table '
                      when 'c' then 'type ' else '' end || c.relname::text as object,
       'column ' || pg_catalog.quote_ident(a.attname::text) || f.fact as fact, f.definition
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_catalog.pg_collation o on o.oid = a.attcollation and a.attcollation <> t.typcollation
cross join lateral (values
    ('', pg_catalog.format_type(a.atttypid, a.atttypmod)),
    (': not null', nullif(a.attnotnull, false)::text),
    (': default', case when a.attgenerated = '' then pg_catalog.pg_get_expr(d.adbin, d.adrelid) end),
    (': generated', case when a.attgenerated <> ''
                         then a.attgenerated::text || ' ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) end),
    (': identity', nullif(a.attidentity::text, '')),
    (': collation', o.oid::pg_catalog.regcollation::text),
    (': storage', case when a.attstorage <> t.typstorage then a.attstorage::text end),
    (': compression', nullif(a.attcompression::text, '')),
    (': statistics target', case when a.attstattarget >= 0 then a.attstattarget::text end),
    (': options', nullif(array(select p from pg_catalog.unnest(a.attoptions) p order by p)::text, '{}')),
    (': inherited', case when a.attinhcount > 0 then a.attinhcount::text
                              || case when a.attislocal then ', and its own' else '' end end),
    (': comment', pg_catalog.col_description(c.oid, a.attnum))
) as f (fact, definition)
where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c') and f.definition is not null

-- name: facts_grants
-- Who may do what with an object inside the schema. Never granted and granted as by default are the same.
with holder (object, prefix, acl, owner) as (
    select case c.relkind when 'v' then 'view ' when 'm' then 'materialized view ' when 'S' then 'sequence '
                          when 'f' then 'foreign table ' else '' end || c.relname::text,
           '', coalesce(c.relacl, pg_catalog.acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner)),
           c.relowner
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
    union all
    select case c.relkind when 'v' then 'view ' when 'm' then 'materialized view ' when 'f' then 'foreign table '
                          else '' end || c.relname::text,
           'column ' || pg_catalog.quote_ident(a.attname::text) || ': ', a.attacl, c.relowner
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where n.nspname = $1 and a.attacl is not null
    union all
    select 'function ' || p.proname::text || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
           '', coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)), p.proowner
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace where n.nspname = $1
    union all
    select 'type ' || t.typname::text, '', coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner)), t.typowner
    from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
    left join pg_catalog.pg_class c on c.oid = t.typrelid
    where n.nspname = $1 and t.typtype in ('b', 'c', 'd', 'e', 'r') and (c.relkind is null or c.relkind = 'c')
      and t.typsubscript::pg_catalog.oid <> 'pg_catalog.array_subscript_handler'::pg_catalog.regproc::pg_catalog.oid
)
select h.object,
       h.prefix || 'grant of ' || g.privilege_type || ' to '
       || case g.grantee when 0 then 'public' else pg_catalog.pg_get_userbyid(g.grantee)::text end as fact,
       pg_catalog.string_agg(
           'given' || case when g.grantor = h.owner then '' else ' by ' || pg_catalog.pg_get_userbyid(g.grantor)::text end
           || case when g.is_grantable then ' with grant option' else '' end, ', ' order by g.grantor, g.is_grantable
       ) as definition
from holder h cross join lateral pg_catalog.aclexplode(h.acl) g
group by 1, 2

-- name: taken_grants
-- Rights to draw numbers that the fence around a schema holds back until it is lifted.
select 'sequence ' || (g.value ->> 'sequence') as object,
       'grant of ' || (g.value ->> 'privilege') || ' to ' || coalesce(g.value ->> 'grantee', 'public') as fact
from control.fence f cross join lateral pg_catalog.jsonb_array_elements(f.sequence_grants) g
where f.schema_name = $1 and f.lifted_at is null

-- name: facts_indexes
-- Indexes, also those behind constraints, by name.
select case t.relkind when 'm' then 'materialized view ' else '' end || t.relname::text as object,
       'index ' || pg_catalog.quote_ident(c.relname::text) || f.fact as fact, f.definition
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_class t on t.oid = i.indrelid
join pg_catalog.pg_namespace n on n.oid = t.relnamespace
left join pg_catalog.pg_tablespace s on s.oid = c.reltablespace
cross join lateral (values
    ('', pg_catalog.pg_get_indexdef(i.indexrelid, 0, true)),
    (': state', pg_catalog.concat_ws(', ', case when i.indisvalid and i.indisready then 'valid' else 'invalid' end,
                                     case when i.indisclustered then 'clustered' end,
                                     case when i.indisreplident then 'replica identity' end,
                                     case when i.indisprimary then 'primary' end,
                                     case when not i.indimmediate then 'deferrable' end)),
    (': tablespace', s.spcname::text),
    (': parent', (select h.inhparent::pg_catalog.regclass::text from pg_catalog.pg_inherits h
                  where h.inhrelid = i.indexrelid)),
    (': statistics targets', (select pg_catalog.string_agg(a.attnum::text || '=' || a.attstattarget::text, ', '
                                                           order by a.attnum)
                              from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attstattarget >= 0)),
    (': comment', pg_catalog.obj_description(c.oid, 'pg_class'))
) as f (fact, definition)
where n.nspname = $1 and t.relkind in ('r', 'p', 'm') and f.definition is not null

-- name: facts_constraints
-- Constraints of tables and domains. NOT NULL goes by its column: the server makes up its name. What a partition only
-- has because of its parent's foreign key goes with that.
select case when k.contypid <> 0 then 'type ' || d.typname::text
            else case c.relkind when 'f' then 'foreign table ' else '' end || c.relname::text end as object,
       case when k.contype = 'n' then pg_catalog.pg_get_constraintdef(k.oid)
            else 'constraint ' || pg_catalog.quote_ident(k.conname::text) end || f.fact as fact, f.definition
from pg_catalog.pg_constraint k
join pg_catalog.pg_namespace n on n.oid = k.connamespace
left join pg_catalog.pg_class c on c.oid = k.conrelid
left join pg_catalog.pg_type d on d.oid = k.contypid
cross join lateral (values
    ('', pg_catalog.pg_get_constraintdef(k.oid)),
    -- A partition's NOT NULL may be its own or not, by the order in which it and the primary key came; it cannot be
    -- dropped either way.
    (': inherited', case when k.coninhcount > 0 then k.coninhcount::text || case
        when k.conislocal and not (k.contype = 'n' and c.relispartition) then ', and its own' else '' end end),
    (': validated', case when not k.convalidated then 'no' end),
    (': enforcement', case when k.contype = 'f' then
        (select pg_catalog.string_agg(distinct g.tgenabled::text, '') from pg_catalog.pg_trigger g
         where g.tgconstraint = k.oid) end),
    (': comment', pg_catalog.obj_description(k.oid, 'pg_constraint'))
) as f (fact, definition)
where n.nspname = $1 and k.contype <> 't' and f.definition is not null
  and not (k.contype = 'f' and k.conparentid <> 0)

-- name: facts_triggers
-- Triggers with their state. The write fence belongs to a move, not to an environment.
select case c.relkind when 'v' then 'view ' when 'f' then 'foreign table ' else '' end || c.relname::text as object,
       'trigger ' || pg_catalog.quote_ident(g.tgname::text) || f.fact as fact, f.definition
from pg_catalog.pg_trigger g
join pg_catalog.pg_class c on c.oid = g.tgrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral (values
    ('', pg_catalog.pg_get_triggerdef(g.oid, true)),
    (': enabled', g.tgenabled::text),
    (': comes from its parent', nullif(g.tgparentid <> 0, false)::text),
    (': comment', pg_catalog.obj_description(g.oid, 'pg_trigger'))
) as f (fact, definition)
where n.nspname = $1 and not g.tgisinternal and g.tgname <> 'sb_transfer_fence' and f.definition is not null

-- name: facts_rules
-- Rewrite rules other than the ones that make views.
select case c.relkind when 'v' then 'view ' else '' end || c.relname::text as object,
       'rule ' || pg_catalog.quote_ident(r.rulename::text) || f.fact as fact, f.definition
from pg_catalog.pg_rewrite r
join pg_catalog.pg_class c on c.oid = r.ev_class
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral (values
    ('', pg_catalog.pg_get_ruledef(r.oid, true)),
    (': enabled', r.ev_enabled::text),
    (': comment', pg_catalog.obj_description(r.oid, 'pg_rewrite'))
) as f (fact, definition)
where n.nspname = $1 and r.rulename <> '_RETURN' and f.definition is not null

-- name: facts_policies
-- Row security policies.
select c.relname::text as object, 'policy ' || pg_catalog.quote_ident(p.polname::text) || f.fact as fact, f.definition
from pg_catalog.pg_policy p
join pg_catalog.pg_class c on c.oid = p.polrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral (values
    ('', p.polcmd::text || case when p.polpermissive then ' permissive' else ' restrictive' end),
    (': roles', array(select case r when 0 then 'public' else pg_catalog.pg_get_userbyid(r)::text end as role
                      from pg_catalog.unnest(p.polroles) r order by 1)::text),
    (': using', pg_catalog.pg_get_expr(p.polqual, p.polrelid)),
    (': with check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)),
    (': comment', pg_catalog.obj_description(p.oid, 'pg_policy'))
) as f (fact, definition)
where n.nspname = $1 and f.definition is not null

-- name: facts_sequences
-- How sequences count and whose they are. Where they stand is asked of each.
select 'sequence ' || c.relname::text as object, f.fact, f.definition
from pg_catalog.pg_sequence s
join pg_catalog.pg_class c on c.oid = s.seqrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral (values
    ('type', pg_catalog.format_type(s.seqtypid, null)),
    ('parameters', pg_catalog.format('start %s, increment %s, minimum %s, maximum %s, cache %s, cycle %s', s.seqstart,
                                     s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)),
    ('owned by', (select d.deptype::text || ' ' || d.refobjid::pg_catalog.regclass::text || '.'
                         || pg_catalog.quote_ident(a.attname::text)
                  from pg_catalog.pg_depend d
                  join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
                  where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.objsubid = 0
                    and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.deptype in ('a', 'i')))
) as f (fact, definition)
where n.nspname = $1 and f.definition is not null

-- name: positions
-- Statements that read where sequences stand, a hundred sequences each.
select pg_catalog.string_agg(
    pg_catalog.format('select %L as object, ''position'' as fact, last_value::text || case when is_called then '''' '
                      'else '' (not yet given out)'' end as definition from %I.%I',
                      'sequence ' || s.relname::text, s.nspname, s.relname), ' union all ')
from (select c.relname, n.nspname, pg_catalog.row_number() over (order by c.oid) as place
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where n.nspname = $1 and c.relkind = 'S') s
group by s.place / 100

-- name: facts_functions
-- Functions, procedures and aggregates by name and arguments. A search_path set on one is taken relative to the schema.
select 'function ' || p.proname::text || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')' as object,
       f.fact, f.definition
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_language l on l.oid = p.prolang
left join pg_catalog.pg_aggregate g on g.aggfnoid = p.oid
cross join lateral (values
    ('kind', p.prokind::text || ' ' || l.lanname::text),
    ('owner', pg_catalog.pg_get_userbyid(p.proowner)::text),
    ('arguments', pg_catalog.pg_get_function_arguments(p.oid)),
    ('result', pg_catalog.pg_get_function_result(p.oid)),
    ('body', p.prosrc),
    ('library', p.probin),
    ('SQL body', pg_catalog.pg_get_function_sqlbody(p.oid)),
    ('behaviour', pg_catalog.format('volatility %s, parallel %s, strict %s, security definer %s, leakproof %s, cost %s, '
                                    'rows %s, support %s', p.provolatile, p.proparallel, p.proisstrict, p.prosecdef,
                                    p.proleakproof, p.procost, p.prorows, p.prosupport)),
    ('transforms', (select pg_catalog.string_agg(pg_catalog.format_type(x.id, null), ', ' order by x.place)
                    from pg_catalog.unnest(p.protrftypes) with ordinality x (id, place))),
    ('settings', (select pg_catalog.string_agg(
                      case when s.setting like 'search\_path=%' then pg_catalog.regexp_replace(
                          s.setting,
                          '([=, ])"?' || pg_catalog.regexp_replace(n.nspname::text, '([^a-zA-Z0-9_])', '\\\1', 'g')
                          || '"?(,|$)', '\1<this schema>\2', 'g')
                      else s.setting end, '; ' order by s.setting)
                  from pg_catalog.unnest(p.proconfig) s (setting))),
    ('aggregate', case when g.aggfnoid is not null then pg_catalog.concat_ws(
        ' ', g.aggkind, g.aggnumdirectargs, g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn,
        g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn, g.aggfinalextra, g.aggmfinalextra, g.aggfinalmodify,
        g.aggmfinalmodify, g.aggsortop::pg_catalog.regoperator, pg_catalog.format_type(g.aggtranstype, null),
        g.aggtransspace, pg_catalog.format_type(g.aggmtranstype, null), g.aggmtransspace,
        pg_catalog.quote_nullable(g.agginitval), pg_catalog.quote_nullable(g.aggminitval)) end),
    ('comment', pg_catalog.obj_description(p.oid, 'pg_proc'))
) as f (fact, definition)
where n.nspname = $1 and f.definition is not null

-- name: facts_types
-- Enumerations, domains, ranges and base types; composite types are among the relations.
select 'type ' || t.typname::text as object, f.fact, f.definition
from pg_catalog.pg_type t
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
left join pg_catalog.pg_range r on r.rngtypid = t.oid
left join pg_catalog.pg_type b on b.oid = t.typbasetype
cross join lateral (values
    ('kind', t.typtype::text),
    ('owner', pg_catalog.pg_get_userbyid(t.typowner)::text),
    ('labels', case when t.typtype = 'e' then
        (select pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel::text), ', ' order by e.enumsortorder)
         from pg_catalog.pg_enum e where e.enumtypid = t.oid) end),
    ('base type', case when t.typtype = 'd' then pg_catalog.format_type(t.typbasetype, t.typtypmod) end),
    ('not null', case when t.typtype = 'd' then t.typnotnull::text end),
    ('default', case when t.typtype = 'd'
                     then coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), t.typdefault) end),
    ('collation', case when t.typtype = 'd' and t.typcollation <> b.typcollation
                       then t.typcollation::pg_catalog.regcollation::text end),
    ('range', case when r.rngtypid is not null then pg_catalog.concat_ws(
        ' ', pg_catalog.format_type(r.rngsubtype, null), r.rngcollation::pg_catalog.regcollation,
        (select case when pg_catalog.pg_opclass_is_visible(o.oid) then '' else s.nspname::text || '.' end
                || o.opcname::text
         from pg_catalog.pg_opclass o join pg_catalog.pg_namespace s on s.oid = o.opcnamespace where o.oid = r.rngsubopc),
        r.rngcanonical, r.rngsubdiff, pg_catalog.format_type(r.rngmultitypid, null)) end),
    ('base', case when t.typtype = 'b' then pg_catalog.concat_ws(
        ' ', t.typlen, t.typbyval, t.typalign, t.typstorage, t.typinput, t.typoutput, t.typreceive, t.typsend) end),
    ('comment', pg_catalog.obj_description(t.oid, 'pg_type'))
) as f (fact, definition)
where n.nspname = $1 and t.typtype in ('b', 'd', 'e', 'r') and f.definition is not null
  and t.typsubscript::pg_catalog.oid <> 'pg_catalog.array_subscript_handler'::pg_catalog.regproc::pg_catalog.oid

-- name: facts_statistics
-- Extended statistics.
select 'statistics ' || s.stxname::text as object, f.fact, f.definition
from pg_catalog.pg_statistic_ext s
join pg_catalog.pg_namespace n on n.oid = s.stxnamespace
cross join lateral (values
    ('definition', s.stxrelid::pg_catalog.regclass::text || ': ' || pg_catalog.pg_get_statisticsobjdef_columns(s.oid)),
    ('kinds', s.stxkind::text),
    ('target', s.stxstattarget::text),
    ('comment', pg_catalog.obj_description(s.oid, 'pg_statistic_ext'))
) as f (fact, definition)
where n.nspname = $1 and f.definition is not null

-- name: facts_others
-- Kinds of objects that are rare in an environment.
select 'collation ' || o.collname::text as object, 'definition' as fact,
       pg_catalog.concat_ws(' ', o.collprovider, o.collisdeterministic, o.collencoding, o.collcollate, o.collctype) as definition
from pg_catalog.pg_collation o join pg_catalog.pg_namespace n on n.oid = o.collnamespace where n.nspname = $1
union all
select 'operator ' || o.oid::pg_catalog.regoperator::text, 'definition',
       pg_catalog.concat_ws(' ', o.oprcode, o.oprrest, o.oprjoin, o.oprcom::pg_catalog.regoperator,
                            o.oprnegate::pg_catalog.regoperator, o.oprcanmerge, o.oprcanhash)
from pg_catalog.pg_operator o join pg_catalog.pg_namespace n on n.oid = o.oprnamespace where n.nspname = $1
union all
select 'operator class ' || o.opcname::text || ' for ' || m.amname::text, 'definition',
       pg_catalog.concat_ws(' ', pg_catalog.format_type(o.opcintype, null), o.opcdefault,
                            pg_catalog.format_type(o.opckeytype, null))
from pg_catalog.pg_opclass o join pg_catalog.pg_namespace n on n.oid = o.opcnamespace
join pg_catalog.pg_am m on m.oid = o.opcmethod where n.nspname = $1
union all
select 'operator family ' || o.opfname::text || ' for ' || m.amname::text, 'members',
       coalesce((select pg_catalog.string_agg(p.amopstrategy::text || ' ' || p.amopopr::pg_catalog.regoperator::text, ', '
                                              order by p.amopstrategy, p.amopopr::pg_catalog.regoperator::text)
                 from pg_catalog.pg_amop p where p.amopfamily = o.oid), '')
from pg_catalog.pg_opfamily o join pg_catalog.pg_namespace n on n.oid = o.opfnamespace
join pg_catalog.pg_am m on m.oid = o.opfmethod where n.nspname = $1
union all
select 'text search configuration ' || o.cfgname::text, 'mappings',
       coalesce((select pg_catalog.string_agg(p.maptokentype::text || ' ' || p.mapdict::pg_catalog.regdictionary::text, ', '
                                              order by p.maptokentype, p.mapseqno)
                 from pg_catalog.pg_ts_config_map p where p.mapcfg = o.oid), '')
from pg_catalog.pg_ts_config o join pg_catalog.pg_namespace n on n.oid = o.cfgnamespace where n.nspname = $1
union all
select 'text search dictionary ' || o.dictname::text, 'definition', coalesce(o.dictinitoption, '')
from pg_catalog.pg_ts_dict o join pg_catalog.pg_namespace n on n.oid = o.dictnamespace where n.nspname = $1
union all
select 'conversion ' || o.conname::text, 'definition',
       pg_catalog.concat_ws(' ', o.conforencoding, o.contoencoding, o.conproc, o.condefault)
from pg_catalog.pg_conversion o join pg_catalog.pg_namespace n on n.oid = o.connamespace where n.nspname = $1

-- name: tables
-- What holds rows of its own: plain tables, partitions, inheritance children and materialised views.
select c.relname::text as name, pg_catalog.format('%I.%I', n.nspname, c.relname) as quoted,
       case c.relkind when 'm' then 'materialized view ' else '' end || c.relname::text as object,
       (select r.relname::text from pg_catalog.pg_partition_ancestors(c.oid) with ordinality a (id, place)
        join pg_catalog.pg_partitioned_table p on p.partrelid = a.id and p.partstrat::text = 'h'
        join pg_catalog.pg_class r on r.oid = a.id where c.relispartition order by a.place desc limit 1) as hashed,
       c.relispopulated as readable, greatest(c.reltuples, 0)::bigint as estimate,
       pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::bigint as pages,
       pg_catalog.pg_relation_filenode(c.oid)::bigint as file, pg_catalog.pg_table_size(c.oid) as bytes,
       coalesce(pg_catalog.pg_relation_size(nullif(c.reltoastrelid, 0)), 0) > 0 as out_of_line,
       (select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(
                   a.attname, pg_catalog.quote_ident(a.attname::text), a.atttypid::bigint) order by a.attnum), '[]')
        from pg_catalog.pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated::text <> 'v') as columns,
       (select coalesce(pg_catalog.jsonb_agg(a.attname order by k.place), '[]')
        from pg_catalog.pg_index i
        cross join lateral pg_catalog.unnest(i.indkey::smallint[]) with ordinality k (attnum, place)
        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
        where i.indrelid = c.oid and i.indisprimary and i.indisvalid and k.place <= i.indnkeyatts) as key
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'm')

-- name: column_types
-- The types of what holds rows in a schema.
select distinct a.atttypid::bigint as id
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid
where n.nspname = $1 and c.relkind in ('r', 'm') and a.attnum > 0 and not a.attisdropped

-- name: types
-- Some types. `made`: by somebody; from 12000 on the server gives ids out, to its own views and information_schema first.
-- `part` is a domain's base, an array's element, a range's subtype or a multirange's range. `fields` are of composites,
-- and `parts` all that has to be known to write a value as bytes, which the server can if `sends` is true of them too.
select t.oid::bigint as id, m.made, p.part::bigint as part, t.typsend <> 0 as sends,
       case when f.oid is not null then pg_catalog.format('%I.%I', fn.nspname, f.proname) end as send,
       case when p.part is not null and t.typtype = 'b' then 'array'
            else case t.typtype when 'd' then 'domain' when 'e' then 'enum' when 'c' then 'composite' when 'r' then 'range'
                                when 'm' then 'multirange' else 'base' end end as kind,
       (select pg_catalog.format('%I.%I', s.nspname, b.typname) from pg_catalog.pg_type b
        join pg_catalog.pg_namespace s on s.oid = b.typnamespace where b.oid = p.part) as part_quoted,
       coalesce(i.fields, '[]') as fields,
       case when t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace then '{}' else coalesce(i.types, '{}') end
       || array_remove(array[p.part::bigint], null) as parts
from pg_catalog.pg_type t
cross join lateral (
    select t.oid >= 16384 or (t.oid >= 12000 and t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace) as made) m
left join pg_catalog.pg_proc f on f.oid = t.typsend
left join pg_catalog.pg_namespace fn on fn.oid = f.pronamespace
cross join lateral (
    select case when t.typtype = 'd' then t.typbasetype
                when t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc then t.typelem
                when t.typtype = 'r' then (select r.rngsubtype from pg_catalog.pg_range r where r.rngtypid = t.oid)
                when t.typtype = 'm' then (select r.rngtypid from pg_catalog.pg_range r where r.rngmultitypid = t.oid)
           end as part) p
cross join lateral (
    select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(
               pg_catalog.quote_ident(a.attname::text), a.atttypid::bigint) order by a.attnum) as fields,
           pg_catalog.array_agg(a.atttypid::bigint) as types
    from pg_catalog.pg_attribute a
    where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) i
where t.oid = any ($1::pg_catalog.oid[])

-- name: hash_rows
-- Rows as a count and two sums of hashes, in whatever order they lie. OFFSET 0 keeps the server from making the bytes
-- once for each hash.
select {place} as place, count(*) as rows, coalesce(sum({first}), 0) as first, coalesce(sum({second}), 0) as second
from (select {read} from only {table} t {bounds} offset 0) x

-- name: hash_of_bytes
-- Since PostgreSQL 18.
hashbyteaextended({bytes}, {seed})

-- name: hash_of_row
-- The same number on every server: a row's hash is its only value's.
hash_record_extended(row({bytes}), {seed})

-- name: hashed_keys
-- A table's rows by key, each with two hashes of all that is compared.
(select x.key, hash_record_extended(row(x.sent), 1) as first, hash_record_extended(row(x.sent), 2) as second
 from (select record_send(row({key})) as key, record_send(row({row})) as sent from only {table} t offset 0) x)

-- name: differing_keys
-- Keys whose rows differ, or are on one side only.
select coalesce(o.key, n.key) as key
from {old} o full join {new} n on n.key = o.key
where o.key is null or n.key is null or o.first <> n.first or o.second <> n.second
order by 1 limit $1

-- name: compared
-- The hashes of one side, to be put beside another database's.
select * from {hashed} x

-- name: make_compared_keys
-- Where the hashes of another database's rows are put.
create temporary table sb_compared_keys (key bytea, first bigint, second bigint) on commit drop

-- name: make_compared_rows
-- The same for rows without a key.
create temporary table sb_compared_rows (first bigint, second bigint) on commit drop

-- name: keyed_rows
-- The rows of a few keys: what a person recognises them by, and each column's hash.
select x.key, x.shown, x.columns
from (select record_send(row({key})) as key, array[{shown}]::text[] as shown, array[{columns}]::bigint[] as columns
      from only {table} t) x
where x.key = any ($1::bytea[])

-- name: column_hash
-- One column of keyed_rows.
hash_record_extended(row(record_send(row({value}))), 1)

-- name: elements
-- The elements of an array or multirange. In FROM, unnest would spread a composite element over columns.
(select array_agg(record_send(row({element}))) from (select unnest({value}) as x offset 0) {alias})

-- name: hashed_rows
-- A table's rows, each as two hashes.
(select hash_record_extended(row(s.sent), 1) as first, hash_record_extended(row(s.sent), 2) as second
 from (select record_send(row({row})) as sent from only {table} t) s)

-- name: differing_rows
-- Whole rows of which one side has more than the other, by their hashes; surplus is positive on the old side.
select x.first, x.second, sum(x.side)::bigint as surplus
from (select o.first, o.second, 1 as side from {old} o union all select n.first, n.second, -1 from {new} n) x
group by 1, 2 having sum(x.side) <> 0
order by 1, 2 limit $1

-- name: shown_rows
-- The beginning of the text of a few rows, by their hashes.
select distinct on (x.first, x.second) x.first, x.second, left(x.shown, 160) as shown
from (select hash_record_extended(row(s.sent), 1) as first, hash_record_extended(row(s.sent), 2) as second, s.shown
      from (select record_send(row({row})) as sent, row({plain})::text as shown from only {table} t) s) x
where x.first = any ($1::bigint[])
order by x.first, x.second

-- name: keep
-- The result, for reports.
update control.transfer set verification = $2::jsonb where transfer_id = $1

-- name: strangers
-- What in a schema depends on anything in another environment's: a copy that does would work on the original.
with home as (
    select n.oid from pg_catalog.pg_namespace n where n.nspname = $1
), direct as materialized (
    select d.classid, d.objid from pg_catalog.pg_depend d join home h on d.refobjid = h.oid
    where d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
), parts as materialized (
    select d.classid, d.objid from direct d
    union
    select d.classid, d.objid from direct h join pg_catalog.pg_depend d on d.refclassid = h.classid and d.refobjid = h.objid
    where d.deptype::text in ('i', 'a')
), needed as materialized (
    select distinct d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid
    from parts p join pg_catalog.pg_depend d on d.classid = p.classid and d.objid = p.objid
    where d.refclassid <> 'pg_catalog.pg_namespace'::pg_catalog.regclass
), owners as (
    select n.*, n.refclassid as ownclass, n.refobjid as own from needed n
    union all
    select n.*, i.refclassid, i.refobjid from needed n
    join pg_catalog.pg_depend i on i.classid = n.refclassid and i.objid = n.refobjid and i.deptype::text = 'i'
)
select distinct pg_catalog.pg_describe_object(o.classid, o.objid, o.objsubid) as what,
       pg_catalog.pg_describe_object(o.refclassid, o.refobjid, 0) as needs
from owners o
join pg_catalog.pg_depend d on d.classid = o.ownclass and d.objid = o.own
    and d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
join pg_catalog.pg_namespace n on n.oid = d.refobjid
where n.nspname <> $1 and n.nspname::text ~ '^env_[0-9a-f]{32}$'
order by 1, 2
