import pytest

from engine.run.environment import CA_BUNDLE, CA_CERT, container_environment, trust_files


def environment(user=(), placeholders=(), java_store=True):
    return container_environment(
        proxy_url="http://moat:T@host.docker.internal:1",
        run_id="run_x",
        placeholders=dict(placeholders),
        user=dict(user),
        java_store=java_store,
    )


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"])
def test_proxy_variables_come_in_both_cases(name):
    assert environment()[name] == "http://moat:T@host.docker.internal:1"


def test_node_adds_the_ca_and_everyone_else_replaces_their_roots():
    env = environment()
    assert env["NODE_EXTRA_CA_CERTS"] == CA_CERT
    assert env["NODE_USE_ENV_PROXY"] == "1"
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "PIP_CERT",
                 "AWS_CA_BUNDLE", "CARGO_HTTP_CAINFO", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):  # fmt: skip
        assert env[name] == CA_BUNDLE
    assert "trustStore=" in env["JAVA_TOOL_OPTIONS"]
    assert "JAVA_TOOL_OPTIONS" not in environment(java_store=False)


def test_a_person_may_replace_a_placeholder():
    env = environment(user={"GH_TOKEN": "mine"}, placeholders={"GH_TOKEN": "placeholder", "X": "y"})
    assert (env["GH_TOKEN"], env["X"]) == ("mine", "y")


def test_git_settings_come_after_the_persons_own():
    env = environment(
        user={"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "me"}
    )
    assert env["GIT_CONFIG_KEY_0"] == "user.name"
    settings = {
        env[f"GIT_CONFIG_KEY_{n}"]: env[f"GIT_CONFIG_VALUE_{n}"] for n in range(int(env["GIT_CONFIG_COUNT"]))
    }
    assert settings == {
        "user.name": "me",
        "http.proxyAuthMethod": "basic",
        "http.version": "HTTP/1.1",
        "safe.directory": "/workspace",
    }


def test_trust_files_are_public_and_linked_from_the_systems_places():
    files = {file.path: file for file in trust_files(b"cert", b"bundle", None)}
    assert files[CA_CERT].content == b"cert"
    assert files["/etc/ssl/certs/ca-certificates.crt"].link == CA_BUNDLE
    assert not any(path.endswith(".p12") for path in files)
