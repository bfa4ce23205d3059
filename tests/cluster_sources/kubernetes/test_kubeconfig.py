"""Kubeconfigs and service accounts: what is asked, as whom, and what is wrong where."""

import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from podnet.cluster.kubernetes import in_a_pod, read_kubeconfig, service_account
from podnet.cluster.kubernetes.client import Client
from podnet.cluster.kubernetes.plugin import Command, Plugin
from podnet.cluster.remote.access import Server
from podnet.errors import DecodingFailure, InvalidConfiguration, IOFailure, NodeNotReady, PodnetError
from tests.cluster_sources.kubernetes.api import Api
from tests.cluster_sources.kubernetes.pki import Pki

Write = Callable[..., str]
HERE = {"server": "https://192.0.2.1:6443"}


def get(path: str) -> bytes:
    """Ask the server of a kubeconfig for its Nodes."""
    client = Client(read_kubeconfig(path))
    try:
        return client.get("/api/v1/nodes", {})
    finally:
        client.close()


def encoded(path: Path) -> str:
    """Return a file as a kubeconfig has it."""
    return b64encode(path.read_bytes()).decode()


# TLS, with a server whose certificate is for api.test


def test_the_server_is_known_by_its_ca_and_name(tls_api: Api, pki: Pki, write_kubeconfig: Write) -> None:
    """The CA as a file or in the kubeconfig itself; tls-server-name is what the certificate has to be for."""
    server = {"server": f"https://127.0.0.1:{tls_api.address[1]}", "tls-server-name": "api.test"}
    assert b"NodeList" in get(write_kubeconfig({**server, "certificate-authority": str(pki.ca)}))
    assert b"NodeList" in get(write_kubeconfig({**server, "certificate-authority-data": encoded(pki.ca)}))


@pytest.mark.parametrize(
    ("more", "told"),
    [({"tls-server-name": "api.test"}, "self-signed"), ({"certificate-authority": "CA"}, "IP address mismatch")],
    ids=["another CA", "another name"],
)
def test_a_server_that_is_another_is_refused(
    tls_api: Api, pki: Pki, write_kubeconfig: Write, more: dict[str, str], told: str
) -> None:
    """No request reaches it; the error names the server, the reason, and the kubeconfig."""
    more = {key: str(pki.ca) if value == "CA" else value for key, value in more.items()}
    path = write_kubeconfig({"server": f"https://127.0.0.1:{tls_api.address[1]}", **more})
    with pytest.raises(IOFailure) as caught:
        get(path)
    assert f"127.0.0.1:{tls_api.address[1]}" in caught.value.msg
    assert path in caught.value.msg
    assert told.replace("-", " ") in caught.value.msg.replace("-", " ")
    assert tls_api.asked == []


def test_whoever_says_so_asks_without_looking(tls_api: Api, write_kubeconfig: Write) -> None:
    """The key insecure-skip-tls-verify is understood."""
    server = f"https://127.0.0.1:{tls_api.address[1]}"
    assert b"NodeList" in get(write_kubeconfig({"server": server, "insecure-skip-tls-verify": True}))


@pytest.mark.parametrize("data", [False, True], ids=["files", "data"])
def test_a_clients_certificate(tls_api: Api, pki: Pki, write_kubeconfig: Write, data: bool) -> None:
    """It is shown to the server, from files or out of the kubeconfig, and then never lies in a file."""
    tls_api._tls.verify_mode = 2  # type: ignore[union-attr] # ssl.CERT_REQUIRED
    certificate, key = pki.client
    user = (
        {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
        if data
        else {"client-certificate": str(certificate), "client-key": str(key)}
    )
    server = {"server": f"https://127.0.0.1:{tls_api.address[1]}", "insecure-skip-tls-verify": True}
    assert b"NodeList" in get(write_kubeconfig(server, user))
    with pytest.raises(PodnetError):
        get(write_kubeconfig(server))


def test_a_clients_certificate_that_is_none(tls_api: Api, pki: Pki, write_kubeconfig: Write, tmp_path: Path) -> None:
    """One that is not PEM, whose key is another's, or whose key wants a password: the error names the kubeconfig."""
    server = {"server": f"https://127.0.0.1:{tls_api.address[1]}", "insecure-skip-tls-verify": True}
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "pkey", "-aes128", "-passout", "pass:secret", "-in", pki.client[1], "-out", locked],
        check=True, capture_output=True,
    )  # fmt: skip
    for key in (pki.server[1], tmp_path / "nothing", locked):
        path = write_kubeconfig(server, {"client-certificate": str(pki.client[0]), "client-key": str(key)})
        with pytest.raises(IOFailure, match="certificate and key cannot be used") as caught:
            get(path)
        assert path in caught.value.msg
    path = write_kubeconfig(server, {"client-certificate-data": "eA==", "client-key-data": "eA=="})
    with pytest.raises(IOFailure, match="certificate and key cannot be used"):
        get(path)


def test_a_ca_that_is_none(tls_api: Api, write_kubeconfig: Write) -> None:
    """Certificates that cannot be read are an error by the file's name; bytes that are no text at once."""
    server = {"server": f"https://127.0.0.1:{tls_api.address[1]}"}
    with pytest.raises(IOFailure, match="certificate-authority-data gives no certificates"):
        get(write_kubeconfig({**server, "certificate-authority-data": "eA=="}))
    with pytest.raises(InvalidConfiguration, match="certificate-authority-data is not PEM"):
        read_kubeconfig(write_kubeconfig({**server, "certificate-authority-data": "//8="}))


def test_a_server_that_speaks_no_tls(api: Api, write_kubeconfig: Write) -> None:
    """The error says what TLS says."""
    with pytest.raises(IOFailure, match=r"WRONG_VERSION_NUMBER|RECORD_LAYER"):
        get(write_kubeconfig({"server": f"https://127.0.0.1:{api.address[1]}"}))


# Who asks


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "abc"}, "Bearer abc"),
        ({"token": "abc", "username": "u", "password": "p"}, "Bearer abc"),
        ({"username": "u", "password": "pä"}, "Basic dTpww6Q="),
        ({}, None),
    ],
)
def test_the_header_that_says_who_asks(write_kubeconfig: Write, user: dict[str, str], header: str | None) -> None:
    """Tokens, name and password (RFC 7617), or nothing."""
    access = read_kubeconfig(write_kubeconfig(HERE, user))
    assert access.credentials.headers().get("Authorization") == header


def test_paths_are_relative_to_the_file(write_kubeconfig: Write, tmp_path: Path) -> None:
    """As kubectl has it."""
    (tmp_path / "t").write_text("one\n", encoding="ascii")
    access = read_kubeconfig(write_kubeconfig({**HERE, "certificate-authority": "ca.crt"}, {"tokenFile": "t"}))
    assert access.server.ca_file == str(tmp_path / "ca.crt")
    assert access.credentials.headers() == {"Authorization": "Bearer one"}


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://a.test", ("https", "a.test", 443, "")),
        ("https://[fd00::1]:6443/prefix/", ("https", "fd00::1", 6443, "/prefix")),
        ("http://127.0.0.1:8080", ("http", "127.0.0.1", 8080, "")),
    ],
)
def test_addresses_of_servers(write_kubeconfig: Write, url: str, wanted: tuple[str, str, int, str]) -> None:
    """Ports, IPv6 and prefixes are understood."""
    server = read_kubeconfig(write_kubeconfig({"server": url})).server
    assert (server.scheme, server.host, server.port, server.prefix) == wanted


@pytest.mark.parametrize(
    ("cluster", "user", "line", "told"),
    [
        ({"server": "ftp://x"}, {}, ":", "clusters[0].cluster.server 'ftp://x' is no server's address"),
        ({"server": "https://a:b"}, {}, ":", "is no server's address"),
        ({}, {}, "", "server is missing"),
        ({**HERE, "proxy-url": "http://p"}, {}, ":4: ", "clusters[0].cluster.proxy-url is not understood"),
        ({**HERE, "certificate-authority-data": "!"}, {}, ":4: ", "certificate-authority-data is not base64"),
        ({**HERE, "certificate-authority": "x", "insecure-skip-tls-verify": True}, {}, ":5: ", "contradicts"),
        (HERE, {"auth-provider": {"name": "gcp"}}, ":", "users[0].user.auth-provider is gone from Kubernetes"),
        (HERE, {"as": "root"}, ":", "users[0].user.as is not understood"),
        (HERE, {"client-certificate": "x"}, "", "users[0].user.client-key is missing"),
        (HERE, {"token": "a b"}, ":", "users[0].user.token holds no token"),
        (HERE, {"token": 7}, ":", "users[0].user.token is not what it should be"),
        (HERE, {"exec": {"command": "x", "apiVersion": "client.authentication.k8s.io/v1alpha1"}}, ":", "use client"),
        (HERE, {"exec": {"command": "x", "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Always"}},
         ":", "needs a terminal"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_named(
    write_kubeconfig: Write, cluster: dict[str, Any], user: dict[str, Any], line: str, told: str
) -> None:
    """The error has the file, the line and the key, and no secret."""
    path = write_kubeconfig(cluster, user)
    with pytest.raises(InvalidConfiguration) as caught:
        read_kubeconfig(path)
    assert caught.value.msg.startswith(f"{path}{line.rstrip()}")
    assert told in caught.value.msg


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("current-context", "", "current-context is not set"),
        ("current-context", "other", "'other' is none of the contexts; it has: it"),
        ("clusters", None, "'c' is none of the clusters; it has: none"),
        ("users", [], "'u' is none of the users"),
    ],
)
def test_names_that_lead_nowhere(write_kubeconfig: Write, key: str, value: object, told: str) -> None:
    """A context, cluster or user that is not there is named, with those that are."""
    path = Path(write_kubeconfig(HERE))
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), key: value}), encoding="utf-8")
    with pytest.raises(InvalidConfiguration) as caught:
        read_kubeconfig(str(path))
    assert told in caught.value.msg


def test_files_that_are_missing(write_kubeconfig: Write, tmp_path: Path) -> None:
    """The kubeconfig itself, a token's file, a CA's: each is named when it is wanted."""
    with pytest.raises(IOFailure, match="nowhere: no such file"):
        read_kubeconfig(str(tmp_path / "nowhere"))
    with pytest.raises(IOFailure, match="t: the token cannot be read"):
        read_kubeconfig(write_kubeconfig(HERE, {"tokenFile": "t"})).credentials.headers()
    with pytest.raises(IOFailure, match=r"ca\.crt gives no certificates: No such file"):
        get(write_kubeconfig({**HERE, "certificate-authority": "ca.crt"}))


def test_in_a_pod(tmp_path: Path) -> None:
    """The environment has the server, the folder the CA and a token that is read anew each time."""
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    assert not in_a_pod(environment, str(tmp_path))
    (tmp_path / "token").write_text("one", encoding="ascii")
    assert in_a_pod(environment, str(tmp_path))
    assert not in_a_pod({}, str(tmp_path))
    access = service_account(environment, str(tmp_path))
    assert access.server.url == "https://[fd00::1]:443"
    assert access.credentials.headers() == {"Authorization": "Bearer one"}
    (tmp_path / "token").write_text("two", encoding="ascii")
    assert access.credentials.headers() == {"Authorization": "Bearer two"}
    (tmp_path / "token").write_bytes(b"\xff")
    with pytest.raises(InvalidConfiguration, match="holds no token"):
        access.credentials.headers()
    with pytest.raises(NodeNotReady, match="--kubeconfig"):
        service_account({}, str(tmp_path))


# Plugins

PLUGIN = """#!/bin/sh
echo x >> "$COUNT"
[ -z "$FAIL" ] || { echo "no luck" >&2; exit 3; }
case $KUBERNETES_EXEC_INFO in *'"server":"https://192.0.2.1:6443"'*) told=-told ;; esac
cat <<END
{"apiVersion": "${VERSION:-client.authentication.k8s.io/v1}", "kind": "ExecCredential",
 "status": {"token": "$1-$(wc -l < "$COUNT" | tr -d ' ')$told", "expirationTimestamp": "2026-01-01T00:01:00Z"}}
END
"""
EPOCH = 1767225600.0  # 2026-01-01T00:00:00Z


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Give a plugin, which counts how often it is executed."""
    path = tmp_path / "plugin"
    path.write_text(PLUGIN, encoding="ascii")
    path.chmod(0o755)
    return path


def made(script: Path, now: Callable[[], float], *, cluster_info: bool = False, **environment: str) -> Plugin:
    """Return credentials of the plugin."""
    command = Command(
        source="kubeconfig",
        program=str(script),
        version="client.authentication.k8s.io/v1",
        arguments=("t",),
        environment=(("COUNT", str(script.parent / "count")), *environment.items()),
        hint="install it",
        cluster_info=cluster_info,
    )
    return Plugin(command, Server(source="kubeconfig", host="192.0.2.1", port=6443), now)


def test_a_plugin_is_asked_anew_when_its_token_expires(script: Path) -> None:
    """Until then, or until the server refuses it, what it said is remembered."""
    now = EPOCH
    plugin = made(script, lambda: now)
    assert [plugin.headers()["Authorization"] for _ in range(3)] == ["Bearer t-1"] * 3
    assert plugin.certificate() is None
    now += 55
    assert plugin.headers()["Authorization"] == "Bearer t-2"
    now -= 55
    plugin.refused()
    assert plugin.headers()["Authorization"] == "Bearer t-3"


def test_a_plugin_is_told_of_the_cluster_where_it_wants_that(script: Path) -> None:
    """In KUBERNETES_EXEC_INFO."""
    assert made(script, lambda: EPOCH, cluster_info=True).headers()["Authorization"] == "Bearer t-1-told"


def test_a_plugin_that_fails_is_named_with_its_words(script: Path, tmp_path: Path) -> None:
    """A bad end, another version, no such program: the error has the file, the program and the remedy."""
    with pytest.raises(IOFailure, match="ended with 3; install it") as caught:
        made(script, lambda: EPOCH, FAIL="1").headers()
    assert caught.value.details == "no luck"
    with pytest.raises(DecodingFailure, match=r"set exec\.apiVersion"):
        made(script, lambda: EPOCH, VERSION="client.authentication.k8s.io/v1beta1").headers()
    with pytest.raises(IOFailure, match=r"cannot be run: .*; install it"):
        made(tmp_path / "nothing", lambda: EPOCH).headers()
    script.write_text("#!/bin/sh\necho hello\n", encoding="ascii")
    with pytest.raises(DecodingFailure, match="is no ExecCredential"):
        made(script, lambda: EPOCH).headers()


def test_a_plugin_may_give_a_certificate(script: Path) -> None:
    """Both parts of it, or it is as if it gave nothing."""
    status = '{"clientCertificateData": "C", "clientKeyData": "K"}'
    say = 'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": %s}\''
    script.write_text("#!/bin/sh\n" + say % status, encoding="ascii")
    plugin = made(script, lambda: EPOCH)
    certificate = plugin.certificate()
    assert certificate is not None
    assert certificate[:2] == (b"C", b"K")
    assert plugin.headers() == {}
    script.write_text("#!/bin/sh\n" + say % '{"clientKeyData": "K"}', encoding="ascii")
    with pytest.raises(DecodingFailure, match="neither token nor certificate"):
        made(script, lambda: EPOCH).certificate()


def test_a_plugin_that_hangs(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, and named."""
    monkeypatch.setattr("podnet.cluster.kubernetes.plugin.SECONDS", 0.1)
    script.write_text("#!/bin/sh\nexec sleep 60\n", encoding="ascii")
    with pytest.raises(IOFailure, match=r"took more than 0\.1 s; install it"):
        made(script, lambda: EPOCH).headers()


def test_a_plugin_is_told_the_ca_of_a_file(script: Path, tmp_path: Path) -> None:
    """In base64, as a kubeconfig would have it; one that is missing is named."""
    (tmp_path / "ca.crt").write_text("PEM", encoding="ascii")
    program = 'echo "{\\"apiVersion\\": \\"client.authentication.k8s.io/v1\\", \\"kind\\": \\"ExecCredential\\", '
    program += '\\"status\\": {\\"token\\": \\"$(echo "$KUBERNETES_EXEC_INFO" | grep -c UEVN)\\"}}"\n'
    script.write_text("#!/bin/sh\n" + program, encoding="ascii")
    plugin = made(script, lambda: EPOCH, cluster_info=True)
    plugin._server = Server(source="kubeconfig", host="192.0.2.1", port=6443, ca_file=str(tmp_path / "ca.crt"))
    assert plugin.headers() == {"Authorization": "Bearer 1"}
    (tmp_path / "ca.crt").unlink()
    plugin.refused()
    with pytest.raises(IOFailure, match=r"ca\.crt: cannot be read"):
        plugin.headers()


def test_a_plugin_of_a_kubeconfig(api: Api, script: Path, write_kubeconfig: Write) -> None:
    """A path is relative to the file; the token that it gives is sent."""
    exec_ = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": f"./{script.name}",
        "args": ["t"],
        "env": [{"name": "COUNT", "value": str(script.parent / "count")}],
        "interactiveMode": "IfAvailable",
    }
    api.tokens = {"t-1"}
    assert b"NodeList" in get(write_kubeconfig({"server": f"http://127.0.0.1:{api.address[1]}"}, {"exec": exec_}))
