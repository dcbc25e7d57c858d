"""An agent with services: uses each with its own client, then runs a program inside postgres, where it is
the superuser, that looks for a way out. Prints one JSON object.

Of the environment: CAPTIVE is that program, OUTSIDE a host:port beyond the run's network.
"""

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit


def said(*command, **env):
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env}, timeout=60)
    return (done.stdout + done.stderr).strip()


def use(out):
    out["postgres"] = said("psql", os.environ["MOAT_POSTGRES_URL"], "-Atc", "select current_database()")
    out["redis"] = said("redis-cli", "-u", os.environ["MOAT_REDIS_URL"], "--no-auth-warning", "ping")
    out["redis without"] = said("redis-cli", "-h", os.environ["MOAT_REDIS_HOST"], "ping")
    wrong = os.environ["MOAT_POSTGRES_URL"].replace(os.environ["MOAT_POSTGRES_PASSWORD"], "wrong")
    out["postgres without"] = said("psql", wrong, "-Atc", "select 1")
    if "MOAT_MYSQL_URL" in os.environ:
        told = {key: os.environ[f"MOAT_MYSQL_{key}"] for key in ("HOST", "PORT", "USER", "PASSWORD", "DB")}
        out["mysql"] = said(
            "mysql", "-h", told["HOST"], "-P", told["PORT"], "-u", told["USER"], "-Ne", "select database()",
            told["DB"], MYSQL_PWD=told["PASSWORD"],
        )  # fmt: skip


def captive(out):
    proxy = urlsplit(os.environ["HTTPS_PROXY"])
    address = socket.gethostbyname(proxy.hostname)
    given = [address, str(proxy.port), f"{proxy.username}:{proxy.password}", os.environ["OUTSIDE"]]
    program = base64.b64encode(Path(os.environ["CAPTIVE"]).read_bytes()).decode()
    line = f'python3 -I -c \'exec(__import__("base64").b64decode("{program}"))\' {" ".join(given)}'
    out["captive"] = json.loads(
        said(
            "psql", os.environ["MOAT_POSTGRES_URL"], "-qAtc",
            f"create temp table o(l text); copy o from program $p${line}$p$; select l from o",
        )
    )  # fmt: skip


out = {}
use(out)
if "CAPTIVE" in os.environ:
    captive(out)
sys.stdout.write(json.dumps(out) + "\n")
