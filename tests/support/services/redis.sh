#!/bin/sh
# What the official entrypoint does when its user is not root: redis/docker-library-redis, 7.2/debian.
set -e

if [ "$(umask)" = 0022 ]; then umask 0077; fi
exec "$@"
