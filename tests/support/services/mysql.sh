#!/bin/bash
# What the official entrypoint does with what Moat gives it: docker-library/mysql, 8.4.
set -eo pipefail

MYSQL_ROOT_PASSWORD="$(< "$MYSQL_ROOT_PASSWORD_FILE")"
socket=/run/mysqld/mysqld.sock

mariadb-install-db --auth-root-authentication-method=normal --skip-test-db --user="$(id -un)" > /dev/null

# This server listens on its unix socket alone; who takes it for the real one comes too early.
"$@" --skip-networking --socket="$socket" &
temporary=$!
until mysqladmin --socket="$socket" --user=root ping > /dev/null 2>&1; do sleep 0.1; done
mysql --socket="$socket" --user=root << SQL
CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\` ;
CREATE USER 'root'@'%' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD' ;
GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION ;
ALTER USER 'root'@'localhost' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD' ;
SQL
kill "$temporary"
wait "$temporary" || true

exec "$@" --bind-address=0.0.0.0 --skip-name-resolve
