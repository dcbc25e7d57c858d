"""STS and S3 as moto plays them, in threads of this process. What was asked is kept.

STS listens in the clear on loopback, for the host, and can be made to refuse; S3 over TLS under its own
name, for containers.
"""

from __future__ import annotations

import threading
from pathlib import Path
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from support.upstream import Upstream
from werkzeug.serving import make_server

ROLE = "arn:aws:iam::123456789012:role/agent"
S3 = "s3.amazonaws.com"
BUCKET = "things"
# What the person assumes roles with; nothing but their own environment may ever hold it.
OWN_SECRET = "CanaryOfThePersonsOwnAwsCredentials0123"

_REFUSAL = b"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>%s</Code><Message>it was refused</Message></Error><RequestId>1</RequestId></ErrorResponse>"""


class Aws:
    """assumed: the parameters of each AssumeRole. signed: (path, Authorization, session token) at S3.

    refuse: an error code that AssumeRole answers from now on, "" for none.
    """

    def __init__(self, directory: Path) -> None:
        self.assumed: list[dict[str, str]] = []
        self.signed: list[tuple[str, str, str]] = []
        self.refuse = ""
        certified = Upstream([S3, f"*.{S3}"], directory=directory)  # for its certificates alone
        self.ca_file = certified.ca_file
        self._app = DomainDispatcherApplication(create_backend_app)
        self._servers = [
            make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet),
            make_server(
                "127.0.0.1",
                0,
                self._answer,
                threaded=True,
                request_handler=_Quiet,
                ssl_context=certified._context,
            ),
        ]
        self._threads = [threading.Thread(target=s.serve_forever, daemon=True) for s in self._servers]
        for thread in self._threads:
            thread.start()

    @property
    def env(self) -> dict[str, str]:
        """The person's own credentials, and where their STS is."""
        return {
            "AWS_ACCESS_KEY_ID": "AKIAPERSON0000000000",
            "AWS_SECRET_ACCESS_KEY": OWN_SECRET,
            "AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{self._servers[0].server_port}",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def flags(self) -> list[str]:
        """What `moat run` needs to reach S3."""
        place = f"127.0.0.1:{self._servers[1].server_port}"
        hosts = (S3, f"{BUCKET}.{S3}")
        entries = [word for host in hosts for word in ("--connect-to", f"{host}:443:{place}")]
        return [*entries, "--upstream-ca", str(self.ca_file)]

    def close(self) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join(10)
            server.server_close()

    def _answer(self, environ, start_response):
        token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN", "")
        if environ.get("wsgi.url_scheme") == "https":
            self.signed.append((environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION", ""), token))
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        self.assumed.append({name: values[0] for name, values in parse_qs(body.decode()).items()})
        if self.refuse:
            start_response("403 Forbidden", [("Content-Type", "text/xml")])
            return [_REFUSAL % self.refuse.encode()]
        import io

        environ["wsgi.input"] = io.BytesIO(body)
        return self._app(environ, start_response)


class _Quiet(MotoRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        pass
