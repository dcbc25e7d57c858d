"""The shell lines of each kind of step. Words come from engine/config/dependencies.py, which lets nothing
through that is more than one word or an option; they stand after `--` all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

# What the modules of python:VERSION-slim-bookworm link to, as `ldd` tells of them, and what that image has
# besides (https://github.com/docker-library/python, Dockerfile-linux.template).
_PYTHON_NEEDS = (
    "ca-certificates", "libbz2-1.0", "libcrypt1", "libdb5.3", "libexpat1", "libffi8", "libgdbm6", "liblzma5",
    "libncursesw6", "libnsl2", "libreadline8", "libsqlite3-0", "libssl3", "libtirpc3", "libuuid1", "netbase",
    "tzdata", "zlib1g",
)  # fmt: skip


def packages(names: Sequence[str]) -> str:
    return (
        _fails_without("apt-get", "packages are installed with Debian's apt-get")
        + "export DEBIAN_FRONTEND=noninteractive\n"
        "apt-get update -q\n"
        f"apt-get install -q -y --no-install-recommends -- {' '.join(names)}\n"
        "rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb\n"
    )


def npm(names: Sequence[str]) -> str:
    return (
        _fails_without("npm", "npm packages are installed with npm")
        + "export npm_config_cache=/tmp/moat-npm\n"
        f"npm install --global --no-audit --no-fund --no-update-notifier -- {' '.join(names)}\n"
        "rm -rf /tmp/moat-npm\n"
    )


def pip(names: Sequence[str]) -> str:
    return (
        _fails_without("python3", "pip packages are installed with python3")
        # Debian's own python keeps pip out of /usr (PEP 668), which is for systems, not for images.
        + "export PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore\n"
        "export PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1\n"
        f"python3 -m pip install -- {' '.join(names)}\n"
    )


def node(version: str) -> str:
    return (
        "ln -sf ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm\n"
        "ln -sf ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx\n"
        "found=$(node --version)\n"
    ) + _is_version(f"v{version}")


def go(version: str) -> str:
    return (
        "ln -sf ../go/bin/go /usr/local/bin/go\n"
        "ln -sf ../go/bin/gofmt /usr/local/bin/gofmt\n"
        "found=$(go version)\n"
        "found=${found#go version }\n"
        "found=${found%% *}\n"
    ) + _is_version(f"go{version}")


def python(version: str, minor: str, release: str) -> str:
    python = f"python{minor}"
    return (
        ". /etc/os-release\n"
        f'[ "$VERSION_CODENAME" = {release} ] || {{\n'
        f'  echo "{python} can be added to images of Debian {release} only" >&2\n'
        "  exit 1\n"
        "}\n"
        + packages(_PYTHON_NEEDS)
        + f"for name in python3 python; do ln -sf {python} /usr/local/bin/$name; done\n"
        "ldconfig\n"
        f"printf '#!/bin/sh\\nexec {python} -m pip \"$@\"\\n' >/usr/local/bin/pip\n"
        "chmod 755 /usr/local/bin/pip\n"
        "ln -sf pip /usr/local/bin/pip3\n"
        f'{python} -c "import bz2, ctypes, lzma, readline, sqlite3, ssl, uuid, zlib"\n'
        f"found=$({python} --version)\n"
        "found=${found#Python }\n"
    ) + _is_version(version)


def _fails_without(program: str, why: str) -> str:
    return f'command -v {program} >/dev/null || {{ echo "{why}, and the image has none" >&2; exit 1; }}\n'


def _is_version(wanted: str) -> str:
    """`found` must be it, or begin with it and a dot."""
    return (
        'case "$found" in\n'
        f"{wanted} | {wanted}.*) ;;\n"
        f'*) echo "expected {wanted}, found $found" >&2; exit 1 ;;\n'
        "esac\n"
    )
