"""Who asks, and how it is known who answers: TLS, certificates, users, tokens that are over."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from podnet.cluster.etcd import Endpoints, EtcdMember
from podnet.cluster.etcd.client import EtcdClient
from podnet.cluster.remote.http import RefusedError
from podnet.errors import InvalidConfiguration, IOFailure
from tests.cluster.certificates import Certificates
from tests.cluster_sources.etcd.following import prefixes, wait_until
from tests.cluster_sources.etcd.server import PATIENCE, Etcd

Serve = Callable[..., list[Etcd]]
Join = Callable[..., EtcdMember]


class Pki(Certificates):
    """As a cluster's, with a certificate that serves as a server's and as a client's, as etcd's are to."""

    def __init__(self, folder: Path) -> None:
        """Make them."""
        super().__init__(folder, ["IP:127.0.0.1"])
        self._signed("etcd", "/CN=etcd", "serverAuth,clientAuth", "subjectAltName=IP:127.0.0.1")


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Make certificates."""
    return Pki(tmp_path_factory.mktemp("etcd") / "pki")


@pytest.fixture
def secured(pki: Pki, serve: Serve) -> Etcd:
    """Give a server that is asked by TLS, with a certificate."""
    return serve(
        1, "--cert-file", pki.path("etcd.crt"), "--key-file", pki.path("etcd.key"),
        "--trusted-ca-file", pki.path("ca.crt"), "--client-cert-auth",
    )[0]  # fmt: skip


def test_certificates_both_ways(secured: Etcd, join: Join, pki: Pki) -> None:
    """A node with a certificate claims its prefix by TLS."""
    one = join("n1", secured, ca=pki.path("ca.crt"), cert=pki.path("admin.crt"), key=pki.path("admin.key"))
    wait_until(one, lambda: prefixes(one))
    assert one.error is None


def test_who_has_no_certificate_is_refused_and_told(secured: Etcd, join: Join, pki: Pki) -> None:
    """As an error of the connection; nothing is claimed."""
    one = join("n1", secured, ca=pki.path("ca.crt"))
    wait_until(one, lambda: one.error is not None)
    assert one.error is not None
    assert "what certificate it asks for" in one.error.msg or "reset" in one.error.msg  # as the kernel has it
    assert prefixes(one) == []


def test_a_server_that_nobody_vouches_for_is_told_nothing(secured: Etcd, join: Join, pki: Pki) -> None:
    """Its certificate is not of the authority that the node was told."""
    one = join("n1", secured, ca=pki.path("admin.crt"))
    wait_until(one, lambda: one.error is not None)
    assert one.error is not None
    assert "correct the certificate authority in podnet.yaml: etcd" in one.error.msg


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """Give a file with a password."""
    path = tmp_path / "password"
    path.write_text("secret\n", encoding="utf-8")
    return path


def enable_users(etcd: Etcd) -> None:
    """Have etcd know root, and podnet, who may do all below /podnet/ and nothing else."""
    etcd.ctl("user", "add", "root:rooted")
    etcd.ctl("user", "grant-role", "root", "root")
    etcd.ctl("role", "add", "podnet")
    etcd.ctl("role", "grant-permission", "podnet", "readwrite", "--prefix=true", "/podnet/")
    etcd.ctl("user", "add", "podnet:secret")
    etcd.ctl("user", "grant-role", "podnet", "podnet")
    etcd.ctl("auth", "enable")


def test_a_user_with_a_password_joins(etcd: Etcd, join: Join, password: Path) -> None:
    """And goes on when the server was started anew, and does not know its tokens any more."""
    enable_users(etcd)
    one = join("n1", etcd, user="podnet", password_file=str(password))
    wait_until(one, lambda: prefixes(one))
    etcd.end()
    wait_until(one, lambda: one.error is not None)
    etcd.start()
    wait_until(one, lambda: one.error is None)
    two = join("n2", etcd, user="podnet", password_file=str(password))
    wait_until(one, lambda: prefixes(one, "n2"))
    assert two.error is None


def wait_for_its_end(etcd: Etcd, token: str) -> None:
    """Wait until a token is over, which it never is while it is used: so for longer than its time between two tries."""
    pause = threading.Event()
    limit = time.monotonic() + PATIENCE
    while "invalid auth token" not in etcd.curl("/v3/kv/range", '{"key": "eA=="}', f"Authorization: {token}"):
        assert time.monotonic() < limit
        pause.wait(3)


def test_a_token_that_is_over_is_had_anew_without_a_word(serve: Serve, password: Path) -> None:
    """It shows when it is used, and nothing is told of it."""
    (etcd,) = serve(1, "--auth-token-ttl", "1")
    enable_users(etcd)
    client = EtcdClient(
        Endpoints(source="t", urls=(etcd.url,), user="podnet", password_file=str(password)), "/podnet/podnet"
    )
    client.list(1)
    first = client._accesses[0].credentials.headers()
    wait_for_its_end(etcd, first["Authorization"])
    assert client.list(1).kvs == ()
    second = client._accesses[0].credentials.headers()
    assert second != first
    wait_for_its_end(etcd, second["Authorization"])
    told = next(told for told in client.watch(1) if told is not None)
    assert told.created
    client.close()


@pytest.mark.parametrize(
    ("user", "prefix", "told"),
    [
        ("", "/podnet/podnet", "user name is empty; set etcd.user and etcd.password-file in podnet.yaml"),
        ("other", "/podnet/podnet", "authentication failed, invalid user ID or password; set etcd.user"),
        ("podnet", "/elsewhere", "permission denied; give the user a role that may read and write podnet's keys"),
    ],
)
def test_who_may_not_is_told_the_remedy(etcd: Etcd, password: Path, user: str, prefix: str, told: str) -> None:
    """Without a user, with a wrong one, and where it has no right."""
    enable_users(etcd)
    endpoints = Endpoints(source="t", urls=(etcd.url,), user=user, password_file=str(password) if user else "")
    client = EtcdClient(endpoints, prefix)
    with pytest.raises(RefusedError) as caught:
        client.list(1)
    assert told in caught.value.msg
    with pytest.raises(RefusedError) as caught:
        list(client.watch(1))
    assert told.partition(";")[0] in caught.value.msg
    client.close()


def test_a_user_where_there_are_none_is_told(etcd: Etcd, password: Path) -> None:
    """Etcd does not authenticate whom it does not ask."""
    client = EtcdClient(Endpoints(source="t", urls=(etcd.url,), user="a", password_file=str(password)), "/p")
    with pytest.raises(RefusedError, match=r"authentication is not enabled; .* or neither where it has no users"):
        client.list(1)
    client.close()


def test_a_password_that_cannot_be_read_is_named(etcd: Etcd, tmp_path: Path) -> None:
    """A file that is not there, and one that is no text."""
    path = tmp_path / "password"
    endpoints = Endpoints(source="t", urls=(etcd.url,), user="a", password_file=str(path))
    with pytest.raises(IOFailure, match="password cannot be read"):
        EtcdClient(endpoints, "/p").list(1)
    path.write_bytes(b"\xff")
    with pytest.raises(InvalidConfiguration, match="not UTF-8"):
        EtcdClient(endpoints, "/p").list(1)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"urls": ("ftp://a",)}, "'ftp://a' is no server's address; write one such as https://192.0.2.1:2379"),
        ({"urls": ("http://a/v3",)}, "'http://a/v3' has a path"),
        ({"urls": ("http://a",), "ca": "/ca"}, "'http://a' goes without TLS although there are certificates for it"),
        ({"urls": ("https://a",), "cert": "/c"}, "takes both, cert and key"),
        ({"urls": ("https://a",), "user": "u"}, "takes both, user and password-file"),
    ],
)
def test_what_cannot_be_meant_is_refused(more: dict[str, tuple[str, ...]], told: str) -> None:
    """Before anybody is asked, with the place."""
    with pytest.raises(InvalidConfiguration) as caught:
        EtcdClient(Endpoints(source="podnet.yaml: etcd", **more), "/p")  # type: ignore[arg-type] # what a file may have
    assert caught.value.msg.startswith("podnet.yaml: etcd")
    assert told in caught.value.msg


def test_the_port_is_etcds_where_none_is_given() -> None:
    """2379, as etcdctl has it."""
    client = EtcdClient(Endpoints(source="t", urls=("https://[2001:db8::1]", "b")), "/p")
    assert client.url == "https://[2001:db8::1]:2379"


def test_what_is_no_etcd_is_told(etcd: Etcd) -> None:
    """A path that is none, as of an etcd without its gateway."""
    client = EtcdClient(Endpoints(source="t", urls=(etcd.url,)), "/p")
    with pytest.raises(
        RefusedError, match=r"404 Not Found; see that it is etcd 3\.4 or later, with its gateway enabled"
    ):
        client._post("/v3/nothing", b"{}")
    client.close()
