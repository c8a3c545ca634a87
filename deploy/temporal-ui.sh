#!/bin/sh
# Starts the UI with its secret at the identity provider from a file.
set -eu
TEMPORAL_AUTH_CLIENT_SECRET=$(cat /run/secrets/ui-client-secret)
export TEMPORAL_AUTH_CLIENT_SECRET
cd /home/ui-server
exec ./start-ui-server.sh
