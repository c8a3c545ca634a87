-- In the manner of Odoo: five hundred tables of modules, thousands of foreign keys to res_users and res_company, many2many tables,
-- translated jsonb, inherited ir_actions, thousands of comments, checks by name, trigram indexes on expressions.
create sequence base_registry_signaling;
create table res_company (id serial primary key, name varchar not null, create_uid integer, create_date timestamp without time zone);
create table res_users (id serial primary key, login varchar not null unique, company_id integer not null references res_company (id) on delete restrict, active boolean default true);
alter table res_company add constraint res_company_create_uid_fkey foreign key (create_uid) references res_users (id) on delete set null;
create sequence ir_actions_id_seq;
create table ir_actions (id integer default nextval('ir_actions_id_seq') not null, type varchar not null, name jsonb not null, primary key (id));
create table ir_act_window (res_model varchar not null, view_mode varchar default 'tree,form', primary key (id)) inherits (ir_actions);
create table ir_act_server (code text, state varchar, primary key (id)) inherits (ir_actions);
do $$
declare module text;
begin
    for i in 1 .. 240 loop
        module := 'module_' || i;
        execute format('create table %1$s (id serial primary key, create_uid integer, write_uid integer, company_id integer, parent_id integer, '
            'name jsonb, reference varchar, state varchar default ''draft'', amount numeric, active boolean, create_date timestamp, write_date timestamp, '
            'constraint %1$s_state check (state in (''draft'', ''done'')), '
            'constraint %1$s_create_uid_fkey foreign key (create_uid) references res_users (id) on delete set null, '
            'constraint %1$s_write_uid_fkey foreign key (write_uid) references res_users (id) on delete set null, '
            'constraint %1$s_company_id_fkey foreign key (company_id) references res_company (id) on delete set null, '
            'constraint %1$s_parent_id_fkey foreign key (parent_id) references %1$s (id) on delete restrict)', module);
        execute format('create index %1$s__company_id_index on %1$s (company_id)', module);
        execute format('comment on table %1$s is ''Module %2$s''; comment on column %1$s.state is ''Status''; comment on constraint %1$s_state on %1$s is ''check(state)''', module, i);
        execute format('create table %1$s_tag_rel (%1$s_id integer not null references %1$s (id) on delete cascade, tag_id integer not null references res_company (id) on delete cascade, primary key (%1$s_id, tag_id))', module);
        execute format('create index on %1$s_tag_rel (tag_id, %1$s_id)', module);
    end loop;
end $$;
create index module_1__name_trgm on module_1 using gin ((name ->> 'nl_NL') public.gin_trgm_ops);
create view report_all as select id, state, amount, 1 as source from module_1 union all select id, state, amount, 2 from module_2;
insert into res_company (name) values ('Moeder'), ('Dochter');
insert into res_users (login, company_id) select 'gebruiker' || i, 1 + i % 2 from generate_series(1, 15) i;
insert into ir_act_window (type, name, res_model) select 'ir.actions.act_window', jsonb_build_object('nl_NL', 'Actie ' || i), 'res.partner' from generate_series(1, 20) i;
insert into ir_act_server (type, name, code) select 'ir.actions.server', jsonb_build_object('nl_NL', 'Server ' || i), 'pass' from generate_series(1, 20) i;
do $$
begin
    for i in 1 .. 240 loop
        execute format('insert into module_%s (create_uid, write_uid, company_id, name, state, amount, create_date) '
            'select 1 + j %% 15, 1, 1 + j %% 2, jsonb_build_object(''nl_NL'', ''Naam'' || j), (array[''draft'', ''done''])[1 + j %% 2], j * 1.5, ''2026-01-01'' from generate_series(1, %s) j', i, i % 30);
        execute format('insert into module_%1$s_tag_rel select id, 1 from module_%1$s', i);
    end loop;
end $$;
