#!/bin/bash
# What the official entrypoint does with what Moat gives it: docker-library/postgres, 17/bookworm.
set -eo pipefail

POSTGRES_PASSWORD="$(< "$POSTGRES_PASSWORD_FILE")"
: "${POSTGRES_USER:=postgres}" "${POSTGRES_DB:=$POSTGRES_USER}"
chmod 700 "$PGDATA"

initdb --no-sync --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") --encoding=UTF8
printf 'host all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"

# This server listens on its unix socket alone; who takes it for the real one comes too early.
pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start
if [ "$POSTGRES_DB" != postgres ]; then
  psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --no-password \
    --set db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db" ;'
fi
sleep 0.3
pg_ctl -D "$PGDATA" -m fast -w stop

exec "$@" -c listen_addresses='*'
