#!/bin/sh
# Starts PostgreSQL with a key that only its own user can read, as the server demands, and takes connections over TLS only.
set -eu
umask 077
cp /run/secrets/postgres-key /run/postgresql/server.key
exec docker-entrypoint.sh postgres -c ssl=on -c ssl_cert_file=/run/secrets/postgres-cert \
    -c ssl_key_file=/run/postgresql/server.key -c ssl_min_protocol_version=TLSv1.3 -c hba_file=/deploy/pg_hba.conf "$@"
