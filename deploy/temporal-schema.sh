#!/bin/sh
# Brings both of Temporal's databases to the schema of this image's version; does nothing when they are there already.
# SQL_PASSWORD and SQL_TLS_* are read by the tool itself.
set -eu
SQL_PASSWORD=$(cat /run/secrets/temporal-password)
export SQL_PASSWORD

for part in temporal visibility; do
    database=temporal
    [ "$part" = visibility ] && database=temporal_visibility
    tool="temporal-sql-tool --tls --plugin postgres12 --ep $POSTGRES_SEEDS -p $DB_PORT -u $POSTGRES_USER --db $database"
    $tool setup-schema -v 0.0
    $tool update-schema -d "/etc/temporal/schema/postgresql/v12/$part/versioned"
done
