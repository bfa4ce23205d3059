"""Where etcd is, and who asks it: endpoints, certificates, a user with a password in a file."""

import msgspec

from podnet.cluster.etcd.wire import Authenticated, decode, encode, refusal_text
from podnet.cluster.remote import http
from podnet.cluster.remote.access import Access, Certificate, Server, split_url
from podnet.errors import InvalidConfiguration, IOFailure

AUTHENTICATE = "/v3/auth/authenticate"
PORT = 2379
"""etcd's port for clients (IANA)."""
UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, GONE, UNAVAILABLE = 401, 403, 404, 410, 503
"""HTTP statuses by which refusals are known, whatever the gateway gave them."""
MEANINGS = (
    ("has been compacted", GONE),
    ("future revision", GONE),
    ("invalid auth token", UNAUTHENTICATED),
    ("revision of auth store is old", UNAUTHENTICATED),
    ("user name is empty", UNAUTHENTICATED),
    ("invalid user ID or password", UNAUTHENTICATED),
    ("authentication is not enabled", UNAUTHENTICATED),
    ("permission denied", FORBIDDEN),
    ("lease not found", NOT_FOUND),
    ("no leader", UNAVAILABLE),
    ("leader changed", UNAVAILABLE),
)
"""What etcd's words mean (api/v3rpc/rpctypes/error.go): the gateway has 400 for many, and streams have no status."""
REMEDIES = {
    400: "see that the endpoint is https where etcd has TLS, and that it is etcd 3.4 or later",
    401: "set etcd.user and etcd.password-file in podnet.yaml as etcd has them, or neither where it has no users",
    403: "give the user a role that may read and write podnet's keys: `etcdctl role grant-permission ROLE readwrite "
    "--prefix=true /podnet/`",
    404: "see that it is etcd 3.4 or later, with its gateway enabled",
    410: "the list is taken anew",
    429: "see `etcdctl alarm list` and etcd's quota",
}


class Endpoints(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The servers, the first that answers is asked; `source` is where they are written, for errors.

    `ca`, `cert`, `key` and `password_file` are paths, "" for none.
    """

    source: str
    urls: tuple[str, ...]
    ca: str = ""
    cert: str = ""
    key: str = ""
    user: str = ""
    password_file: str = ""

    def accesses(self) -> list[Access]:
        """Return each server with who asks it; raise InvalidConfiguration."""
        if bool(self.cert) != bool(self.key):
            raise InvalidConfiguration(
                f"{self.source}: a client's certificate takes both, cert and key; give the other"
            )
        if bool(self.user) != bool(self.password_file):
            raise InvalidConfiguration(f"{self.source}: a user takes both, user and password-file; give the other")
        return [Access(server, Login(server, self)) for server in map(self._server, self.urls)]

    def certificate(self) -> Certificate | None:
        """Return the client's certificate, if there is one."""
        return Certificate(self.cert, self.key, self.source) if self.cert else None

    def _server(self, url: str) -> Server:
        scheme, host, port, path = split_url(url, f"{self.source}:", example="https://192.0.2.1:2379", port=PORT)
        if path:
            raise InvalidConfiguration(f"{self.source}: {url!r} has a path; an endpoint of etcd has none")
        if scheme == "http" and (self.ca or self.cert):
            raise InvalidConfiguration(
                f"{self.source}: {url!r} goes without TLS although there are certificates for it"
            )
        return Server(source=self.source, scheme=scheme, host=host, port=port, ca_file=self.ca)


class Login:
    """Credentials for one server: the certificate, and a user's token, which is asked for and kept until refused."""

    def __init__(self, server: Server, endpoints: Endpoints) -> None:
        """Ask nothing yet."""
        self._endpoints = endpoints
        self._client = http.Client(Access(server, _Anonymous(endpoints)), DIALECT) if endpoints.user else None
        self._token = ""

    def headers(self) -> dict[str, str]:
        """Return the header with the token; raise `PodnetError` where there is none to be had."""
        if self._client is None:
            return {}
        if not self._token:
            asked = {"name": self._endpoints.user, "password": self._password()}
            self._token = decode(self._client.post(AUTHENTICATE, encode(asked)), Authenticated).token
            self._client.release()
        return {"Authorization": self._token}

    def certificate(self) -> Certificate | None:
        """Return the client's certificate."""
        return self._endpoints.certificate()

    def refused(self) -> None:
        """Forget the token: it has a time, and a server that was started anew does not know it."""
        self._token = ""

    def close(self) -> None:
        """End asking."""
        if self._client is not None:
            self._client.close()

    def _password(self) -> str:
        path = self._endpoints.password_file
        try:
            with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib's import takes longer
                return file.read().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InvalidConfiguration(f"{path}: the password is not UTF-8; save it as UTF-8") from error
        except OSError as error:
            raise IOFailure(
                f"{path}: the password cannot be read: {error.strerror}; make it a file that podnet may read"
            ) from error


class _Anonymous:
    """Who has no token yet."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    def headers(self) -> dict[str, str]:
        """Return none."""
        return {}

    def certificate(self) -> Certificate | None:
        """Return the client's certificate."""
        return self._endpoints.certificate()

    def refused(self) -> None:
        """Do nothing: there is no other."""


def meaning(status: int, text: str) -> int:
    """Return the HTTP status that a refusal amounts to, by etcd's words where these are known, else `status`."""
    return next((meant for words, meant in MEANINGS if words in text), status)


def _understand(status: int, body: bytes) -> tuple[int, str]:
    text = refusal_text(body) or body[:200].decode(errors="replace").strip()
    return meaning(status, text), text


# A server without a leader knows only what was: it is to refuse, so that another is asked.
DIALECT = http.Dialect(_understand, REMEDIES, "see etcd's log", {"Grpc-Metadata-hasleader": "true"})
