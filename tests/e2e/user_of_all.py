"""An agent that uses every grant it was given, then looks for the values. Runs in the container.

It reads what to do from `task.json` (values in there are written backwards, so that no file holds one),
writes `done.json`, and waits for the file `go`.
"""

import glob
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

with open("/workspace/task.json") as file:
    TASK = json.load(file)
OUT = {"used": {}, "said": []}


def ask(host, header, value, path="/octo/repo/raw/main/thing", method="GET"):
    request = urllib.request.Request(f"https://{host}{path}", method=method, headers={header: value})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    OUT["said"].append(body.decode("latin-1"))
    return status, body.decode("latin-1")


def sh(command):
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=120)
    OUT["said"].append(done.stdout + done.stderr)
    return done.stdout + done.stderr


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def everything():
    """(where, bytes) of all that the agent can read, except kernel views of memory and devices."""
    yield "env", json.dumps(dict(os.environ)).encode()
    yield "ps", sh("ps axeww -o args || ps").encode()
    yield "answers", json.dumps(OUT).encode()
    for pattern in ("/proc/[0-9]*/environ", "/proc/[0-9]*/cmdline", "/proc/[0-9]*/task/*/environ"):
        for path in glob.glob(pattern):
            yield path, read(path)
    for top in ("/etc", "/root", "/home", "/tmp", "/var", "/run", "/moat", "/workspace", "/opt", "/srv"):
        for directory, _, names in os.walk(top):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.isfile(path):
                    yield path, read(path)


with open(os.environ["NPM_CONFIG_USERCONFIG"]) as file:
    OUT["npmrc"] = file.read()
for grant, host, header, shown in TASK["places"]:
    OUT["used"][f"{grant} {host}"] = ask(host, header, shown)[0]
OUT["scope"] = ask("api.github.com", "Authorization", "mine", method="DELETE")
OUT["limit"] = [ask("api.openai.com", "Authorization", "mine")[0] for _ in range(TASK["limit"])]
OUT["claude"] = ask("api.anthropic.com", "Authorization", "Bearer mine")[0]
OUT["npmrc"] = read(os.environ["NPM_CONFIG_USERCONFIG"]).decode()
OUT["aws"] = sh("cd /tmp && python3 /workspace/use_s3.py")
OUT["ssh"] = sh(TASK["clone"])
OUT["secrets"] = {name: hashlib.sha256(os.environ[name].encode()).hexdigest() for name in TASK["secrets"]}

# one that the service refuses, until a person grants it again
OUT["refused"] = ask("api.linear.app", "Authorization", "mine")[0]
open("/workspace/refused", "w").close()
while ask("api.linear.app", "Authorization", "mine")[0] != 200:
    time.sleep(0.3)

needles = [backwards[::-1].encode("latin-1") for backwards in TASK["needles"]]
control = TASK["control"][::-1].encode()
OUT["looked_at"], OUT["found"], OUT["control"] = [], [], []
for where, data in everything():
    OUT["looked_at"].append(where)
    OUT["control"] += [where] if control in data else []
    OUT["found"] += [f"{where}: {needle[:12]!r}" for needle in needles if needle in data]

sys.stdout.write(json.dumps(OUT["said"]) + "\n")
with open("/workspace/out.json", "w") as file:
    json.dump(OUT, file)
os.rename("/workspace/out.json", "/workspace/done.json")
while not os.path.exists("/workspace/go"):
    time.sleep(0.05)
