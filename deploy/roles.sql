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
-- What an environment's own code runs as: no rights, no login, and nobody can become it but by this service.
create role sb_carrier;
grant sb_carrier to sb_owner;
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
\connect sb
-- As PostgreSQL does itself since 15: what anybody puts there could be found by others' functions.
revoke create on schema public from public;
-- Event triggers, which guard definitions; the same in the database of every cell.
\set superuser `echo ${SUPERUSER_SQL:-/deploy/superuser.sql}`
\i :superuser
\connect postgres

create role temporal login password :'temporal_password';
create database temporal owner temporal;
create database temporal_visibility owner temporal;
