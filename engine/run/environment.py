"""The environment and the files that make ordinary clients in a container use and trust the proxy.

Which client reads what: curl `CURL_CA_BUNDLE`, OpenSSL and Go `SSL_CERT_FILE`, git `GIT_SSL_CAINFO`,
requests `REQUESTS_CA_BUNDLE`, pip `PIP_CERT`, AWS `AWS_CA_BUNDLE`, cargo `CARGO_HTTP_CAINFO`, Deno
`DENO_CERT`, gRPC `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH`, Java the trust store named in `JAVA_TOOL_OPTIONS`.
Each of these *replaces* the client's roots, so each gets the whole bundle. Node's `NODE_EXTRA_CA_CERTS`
*adds* to them and takes the CA alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.runtimes import PlacedFile

CA_DIR = "/moat/ca"
CA_CERT = f"{CA_DIR}/ca.crt"
CA_BUNDLE = f"{CA_DIR}/bundle.crt"
TRUST_STORE = f"{CA_DIR}/truststore.p12"
TRUST_STORE_PASSWORD = "changeit"  # Java's own default; the store holds public certificates only

# Where Debian, Fedora and Alpine keep the system's own roots, for clients that read no variable.
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)

_BUNDLE_VARIABLES = (
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "DENO_CERT",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
)

# Loopback inside the container is the container's own business and never the proxy's.
_NO_PROXY = "localhost,127.0.0.1,::1"


def trust_files(certificate: bytes, bundle: bytes, java_store: bytes | None) -> tuple[PlacedFile, ...]:
    """The public trust files, put into the container and not mounted from the host.

    They must be readable for every user in the container, and nothing below MOAT_HOME is. Where systems
    look by themselves there is a link to the bundle.
    """
    files = [PlacedFile(CA_CERT, certificate), PlacedFile(CA_BUNDLE, bundle)]
    if java_store is not None:
        files.append(PlacedFile(TRUST_STORE, java_store))
    return (*files, *(PlacedFile(place, link=CA_BUNDLE) for place in _SYSTEM_BUNDLES))


def container_environment(
    *,
    proxy_url: str,
    run_id: str,
    placeholders: Mapping[str, str],
    user: Mapping[str, str],
    java_store: bool,
    beside: Iterable[str] = (),
) -> dict[str, str]:
    """Every variable the agent starts with: Moat's, the grants' placeholders, then the person's own.

    beside: host names on the run's own network, which the proxy does not lead to.

    `user` comes last, so a person may replace a placeholder; names that would move the proxy were
    refused when they were read (config.check_env).
    """
    env = {"MOAT_RUN_ID": run_id, "NODE_USE_ENV_PROXY": "1", "NODE_EXTRA_CA_CERTS": CA_CERT}
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        env[name] = env[name.lower()] = proxy_url
    env["NO_PROXY"] = env["no_proxy"] = ",".join((_NO_PROXY, *beside))
    env |= dict.fromkeys(_BUNDLE_VARIABLES, CA_BUNDLE)
    if java_store:
        env["JAVA_TOOL_OPTIONS"] = (
            f"-Djavax.net.ssl.trustStore={TRUST_STORE} -Djavax.net.ssl.trustStoreType=PKCS12 "
            f"-Djavax.net.ssl.trustStorePassword={TRUST_STORE_PASSWORD}"
        )
    env |= placeholders
    env |= user
    return env | _git_settings(
        env,
        (
            # git otherwise asks libcurl for "any" method, which costs a refused request and fails on a body
            # that cannot be sent twice.
            ("http.proxyAuthMethod", "basic"),
            # libcurl 7.88 (Debian 12's) can stop for ever in git's uploads over HTTP/2 when a window that it
            # has used up is opened again.
            ("http.version", "HTTP/1.1"),
            # The workspace may belong to another uid than the agent's (root in a container, a user outside).
            ("safe.directory", "/workspace"),
        ),
    )


def _git_settings(env: Mapping[str, str], settings: Iterable[tuple[str, str]]) -> dict[str, str]:
    """git's own way to pass settings by environment, after any that the person passes the same way."""
    try:
        count = max(0, int(env.get("GIT_CONFIG_COUNT", "0")))
    except ValueError:
        count = 0
    added: dict[str, str] = {}
    for key, value in settings:
        added[f"GIT_CONFIG_KEY_{count}"] = key
        added[f"GIT_CONFIG_VALUE_{count}"] = value
        count += 1
    return added | {"GIT_CONFIG_COUNT": str(count)}
