#!/usr/bin/env bash
# Prints the path of a Python that Moat can use (3.12 or newer), or says why there is none and exits 1.
#
# A name on PATH proves nothing: pyenv's shims exist for versions that are not selected, and fail when
# called. So every candidate is run and asked for its version and its real path. Versions are tried in
# the order of .python-version; $MOAT_PYTHON, when set, is the only candidate.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.."

answer() { # the real path of the interpreter "$1", when it runs and is new enough
  "$1" -c 'import sys
if sys.version_info < (3, 12): sys.exit(1)
print(sys.executable)' 2>/dev/null </dev/null
}

try() {
  local candidate found
  for candidate in "$@"; do
    [ -x "$candidate" ] || continue
    found=$(answer "$candidate") && [ -n "$found" ] && printf '%s\n' "$found" && exit 0
  done
}

newest_first() { sort -rV 2>/dev/null || sort -r; }

if [ -n "${MOAT_PYTHON:-}" ]; then
  try "$MOAT_PYTHON" "$(type -P "$MOAT_PYTHON")"
  echo "moat: MOAT_PYTHON=$MOAT_PYTHON is not a Python 3.12 or newer that runs." >&2
  exit 1
fi

pyenv_versions="${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}/versions"
while read -r version; do
  [ -n "$version" ] || continue
  while read -r candidate; do try "$candidate"; done < <(type -aP "python$version")
  while read -r candidate; do try "$candidate"; done \
    < <(printf '%s\n' "$pyenv_versions/$version"/bin/python "$pyenv_versions/$version".*/bin/python | newest_first)
done < .python-version
while read -r candidate; do try "$candidate"; done < <(type -aP python3 python)

cat >&2 <<'TXT'
moat: no Python 3.12 or newer was found (looked for python3.13, python3.12, python3 and pyenv's versions).
Install one, for example `apt-get install python3 python3-venv` on Debian 13 or `pyenv install 3.13`,
or name one: make MOAT_PYTHON=/path/to/python3 demo
TXT
exit 1
