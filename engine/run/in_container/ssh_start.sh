#!/bin/sh
# Started by Moat in place of the agent's command: first the relay to the SSH agent, then the command itself.
relay=
if command -v python3 >/dev/null 2>&1; then relay="python3 -I /moat/ssh/relay.py"
elif command -v perl >/dev/null 2>&1; then relay="perl /moat/ssh/relay.pl"
fi
if [ -n "$relay" ]; then
  $relay </dev/null >/dev/null 2>&1 &
  # An ssh that comes first would find no socket.
  tries=0
  while [ ! -S /run/moat/ssh/agent.sock ] && [ "$tries" -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.05
  done
fi
if [ ! -S /run/moat/ssh/agent.sock ]; then
  echo "moat: no SSH agent here: the image has neither python3 nor perl for the relay" >&2
fi
exec "$@"
