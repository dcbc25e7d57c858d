#!/usr/bin/env bash
# The images that tests of services use, moat-test-{clients,postgres,mysql,redis}:bookworm, from the system's
# package mirror. Quick when they are there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

made=$(cat Dockerfile ./*.sh | sha256sum | cut -c 1-16)
for target in clients postgres mysql redis; do
  label=$(docker image inspect --format '{{ index .Config.Labels "moat.test.made" }}' \
    "moat-test-$target:bookworm" 2>/dev/null || true)
  [ "$label" = "$made" ] && continue
  printf 'moat: making moat-test-%s:bookworm, which tests of services use\n' "$target" >&2
  # A mirror that only the machine's own settings lead to is reached as the machine does.
  eval "$(apt-config shell proxy Acquire::http::Proxy 2>/dev/null || true)"
  if ! said=$(DOCKER_BUILDKIT=0 docker build --quiet --network host --build-arg http_proxy="${proxy:-}" \
    --label "moat.test.made=$made" --target "$target" --tag "moat-test-$target:bookworm" . 2>&1); then
    printf '%s\n' "$said" | tail -n 5 >&2
    exit 1
  fi
done
