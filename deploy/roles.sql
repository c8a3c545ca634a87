-- Run once by the PostgreSQL image on an empty data folder, as its superuser: who may do what, and which databases.
-- The passwords come from files, so that they stand in no process list and in no container's environment.
\set ON_ERROR_STOP on
\set owner_password `cat ${SECRETS:-/run/secrets}/owner-password`
\set app_password `cat ${SECRETS:-/run/secrets}/app-password`
\set api_password `cat ${SECRETS:-/run/secrets}/api-password`
\set codec_password `cat ${SECRETS:-/run/secrets}/codec-password`
\set temporal_password `cat ${SECRETS:-/run/secrets}/temporal-password`

-- This service: makes and owns the environments' schemas.
create role sb_owner login createrole password :'owner_password';
-- The bookkeeping application: sees only what it is granted.
create role sb_app login password :'app_password';
-- The API and the codec server: `sb-transfer setup` grants them what each needs in `control`, and no environment.
create role sb_api login password :'api_password';
create role sb_codec login password :'codec_password';
-- The service may look at the world as the application does; it never inherits the application's rights.
grant sb_app to sb_owner with admin true, inherit false, set true;
-- A clone loads rows without firing the customers' triggers.
grant set on parameter session_replication_role to sb_owner;
-- A clone can pause while others need the server: it has to see how busy their sessions are, and how far standbys lag.
grant pg_read_all_stats to sb_owner;
create database sb owner sb_owner;
-- Only a superuser can have definitions guarded: in the home database, and in that of every cell. `sb-transfer setup` puts
-- the rule into the function: in an environment that is frozen nothing is created, altered, refreshed or dropped.
\connect sb
create schema control authorization sb_owner;
create function control.refuse_definition() returns event_trigger language plpgsql as 'begin end';
alter function control.refuse_definition() owner to sb_owner;
create event trigger sb_transfer_definitions on ddl_command_end execute function control.refuse_definition();
create event trigger sb_transfer_drops on sql_drop execute function control.refuse_definition();
-- Also for who passes triggers over, as a replica does.
alter event trigger sb_transfer_definitions enable always;
alter event trigger sb_transfer_drops enable always;
\connect postgres

create role temporal login password :'temporal_password';
create database temporal owner temporal;
create database temporal_visibility owner temporal;
