#!/usr/bin/env bash
# Programs that only tests need, from the system's own package mirror. Says nothing when they are there.
# One line a tool: the program that shows it is installed, and the Debian package that has it.
set -euo pipefail

tools='
/usr/sbin/sshd openssh-server
'

packages=()
while read -r program package; do
  if [ -n "$program" ] && ! command -v "$program" >/dev/null 2>&1; then packages+=("$package"); fi
done <<< "$tools"
[ "${#packages[@]}" -eq 0 ] && exit 0

case "$(id -u)" in
  0) as_root=(env) ;;
  *) as_root=(sudo -n env) ;;
esac
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
  # Without them their tests say why they skip; in CI they fail.
  printf 'moat: the tests would use %s: install it to run them all\n' "${packages[*]}" >&2
  exit 0
fi
printf 'moat: installing for the tests: %s\n' "${packages[*]}" >&2
apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -o DPkg::Lock::Timeout=120)
if ! "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >/dev/null 2>&1; then
  { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${packages[@]}"; } >/dev/null
fi
