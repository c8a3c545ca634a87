-- What must not be: an environment of which something calls, holds or is made of something of another one. It may well read
-- the same as it should, for a text says a name where the server keeps a number.

-- name: ties
-- What in some schemas ($1) depends on anything in another environment's: one question, whatever kinds of objects there
-- are. What hangs on an object (indexes, defaults, triggers, rules, rights to nothing of its own) goes with it, to any
-- depth; what is referred to goes by the schema of what it hangs on.
with recursive home (schema, id) as materialized (
    select n.nspname, n.oid from unnest($1::text[]) s join pg_namespace n on n.nspname = s
), part (home, class, id) as (
    select h.id, d.classid, d.objid
    from home h join pg_depend d on d.refclassid = 'pg_namespace'::regclass and d.refobjid = h.id
    union
    select p.home, d.classid, d.objid
    from part p join pg_depend d on d.refclassid = p.class and d.refobjid = p.id
    where d.deptype in ('i', 'a') or d.classid in ('pg_cast'::regclass, 'pg_transform'::regclass)
), need as materialized (
    select distinct p.home, p.class, p.id, d.objsubid as sub, d.refclassid as needclass, d.refobjid as need
    from part p join pg_depend d on d.classid = p.class and d.objid = p.id
    where d.refclassid <> 'pg_namespace'::regclass
), whole (home, needclass, need, class, id) as (
    select distinct home, needclass, need, needclass, need from need
    union
    select w.home, w.needclass, w.need, d.refclassid, d.refobjid
    from whole w join pg_depend d on d.classid = w.class and d.objid = w.id
    where d.deptype in ('i', 'a') and d.refclassid <> 'pg_namespace'::regclass
), elsewhere as materialized (
    -- Asked by the index for each, however few the server takes them for: two long lists that are held against each other
    -- take minutes for a schema of thousands of tables.
    select distinct w.home, w.needclass, w.need
    from whole w cross join lateral (
        select d.refobjid as id from pg_depend d
        where d.classid = w.class and d.objid = w.id and d.refclassid = 'pg_namespace'::regclass and d.refobjid <> w.home
        offset 0) n
    where (select nspname from pg_namespace where oid = n.id) ~ '^env_[0-9a-f]{32}$'
)
select * from (
    select distinct h.schema::text, pg_describe_object(n.class, n.id, n.sub) as what, pg_describe_object(n.needclass, n.need, 0) as needs
    from need n join elsewhere e on e.home = n.home and e.needclass = n.needclass and e.need = n.need
    join home h on h.id = n.home) found
-- What is dropped meanwhile has no description any more.
where what is not null and needs is not null
order by 1, 2, 3

-- name: calls
-- What each object of a schema ($1) calls, with the arguments' types: a text may mean another function of the same name on
-- the other side. And the extensions without which it would go. The server's own are in no dependency, and mean the same everywhere. The write fence is left out.
with recursive part (class, id) as (
    select d.classid, d.objid from pg_namespace n
    join pg_depend d on d.refclassid = 'pg_namespace'::regclass and d.refobjid = n.oid
    where n.nspname = $1
    union
    select d.classid, d.objid from part p join pg_depend d on d.refclassid = p.class and d.refobjid = p.id
    where d.deptype in ('i', 'a')
), call as materialized (
    select distinct p.class, p.id, d.refclassid, d.refobjid
    from part p join pg_depend d on d.classid = p.class and d.objid = p.id
    where (d.deptype = 'n' and d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass,
        'pg_opfamily'::regclass, 'pg_collation'::regclass, 'pg_ts_config'::regclass, 'pg_ts_dict'::regclass)
          or d.deptype = 'x' and d.refclassid = 'pg_extension'::regclass)
      -- Not `exists`, which the server would answer once for the triggers of all environments.
      and (p.class <> 'pg_trigger'::regclass
           or (select tgname from pg_trigger where oid = p.id) is distinct from 'sb_transfer_fence')
)
select o.type || ' ' || o.identity as object, string_agg(i.identity, ', ' order by replace(i.identity, $1::text, '')) as called
from call c
left join pg_rewrite v on c.class = 'pg_rewrite'::regclass and v.oid = c.id and v.rulename = '_RETURN'
cross join lateral pg_identify_object(case when v.oid is null then c.class else 'pg_class'::regclass end, coalesce(v.ev_class, c.id), 0) o
cross join lateral pg_identify_object(c.refclassid, c.refobjid, 0) i
group by 1
