#!/usr/bin/env bash
# Makes .venv hold Moat and everything it needs. Does nothing when it already does: the stamp names the
# interpreter, the place and the contents of the two files that decide what is installed, a line each:
# either path may hold spaces.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'moat: %s\n' "$*" >&2; }
wanted() { printf '%s\n%s\n%s\n' "$1" "$PWD" "$(cat pyproject.toml constraints.txt | cksum)"; }
runs() { "$1" -c '' >/dev/null 2>&1; }

stamp=.venv/.moat-stamp
if [ -f "$stamp" ] && runs .venv/bin/python; then
  IFS= read -r used < "$stamp"
  [ "$(cat "$stamp")" = "$(wanted "$used")" ] && exit 0
fi

python=$(bash .ci/python.sh)
version=$("$python" -c 'import platform; print(platform.python_version())')

# Debian ships Python without the part that puts pip into a venv; on a fresh machine it is fetched here.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
  remedy="$python cannot make virtual environments: install $package (apt-get install $package) and try again."
  case "$(id -u)" in
    0) as_root=(env) ;;
    *) as_root=(sudo -n env) ;;
  esac
  if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
    say "$remedy"
    exit 1
  fi
  say "installing $package, which Python needs to make a virtual environment"
  apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120)
  if ! "${apt[@]}" install -y --no-install-recommends "$package" >/dev/null 2>&1; then
    if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "$package"; } >/dev/null; then
      say "$remedy"
      exit 1
    fi
  fi
fi

if ! { [ -f .venv/pyvenv.cfg ] && runs .venv/bin/python &&
       [ "$(.venv/bin/python -c 'import sys; print(sys.prefix)')" = "$PWD/.venv" ] &&
       .venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; }; then
  say "creating .venv with Python $version"
  rm -rf .venv
  "$python" -m venv .venv
fi
rm -f "$stamp"
say "installing Moat's packages into .venv (a minute the first time)"
.venv/bin/python -m pip install -qq --disable-pip-version-check -e '.[dev]' -c constraints.txt
wanted "$python" > "$stamp"
