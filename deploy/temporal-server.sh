#!/bin/sh
# Starts Temporal with its database's password from a file, and with a frontend of its own for the parts (port 7236), which
# their certificates alone open; the one for people (port 7233) asks for a token too.
set -eu
POSTGRES_PWD=$(cat /run/secrets/temporal-password)
TEMPORAL_BROADCAST_ADDRESS=$(getent hosts "$(hostname)" | awk '{print $1; exit}')
export POSTGRES_PWD TEMPORAL_BROADCAST_ADDRESS
exec temporal-server start --service frontend --service internal-frontend --service history --service matching --service worker
