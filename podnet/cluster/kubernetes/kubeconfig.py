"""kubeconfig files: which API server, and who asks it.

See "Organizing Cluster Access Using kubeconfig Files" and the reference kubeconfig (v1), Kubernetes documentation.
What would ask as somebody else than is meant, or by another way, is refused instead of being passed over.
"""

import binascii
from base64 import b64decode
from os.path import abspath, dirname, join
from typing import Any, NamedTuple

import msgspec

from podnet.cluster.document import Document, read_text
from podnet.cluster.kubernetes.identity import Identity, TokenFile, basic, bearer
from podnet.cluster.kubernetes.plugin import VERSIONS, Command, Plugin
from podnet.cluster.remote.access import Access, Certificate, Credentials, Server, split_url
from podnet.errors import InvalidConfiguration, IOFailure


class _Cluster(msgspec.Struct, frozen=True, rename="kebab", gc=False):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class _Variable(msgspec.Struct, frozen=True, gc=False):
    name: str
    value: str


class _Exec(msgspec.Struct, frozen=True, rename="camel", gc=False):
    command: str
    api_version: str = ""
    args: list[str] | None = None
    env: list[_Variable] | None = None
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = ""


class _User(msgspec.Struct, frozen=True, rename="kebab", gc=False):
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    username: str = ""
    password: str = ""
    exec: _Exec | None = None
    auth_provider: Any = None
    as_: str = msgspec.field(default="", name="as")


class _Context(msgspec.Struct, frozen=True, gc=False):
    cluster: str = ""
    user: str = ""


class _NamedCluster(msgspec.Struct, frozen=True, gc=False):
    name: str
    cluster: _Cluster


class _NamedUser(msgspec.Struct, frozen=True, gc=False):
    name: str
    user: _User | None = None


class _NamedContext(msgspec.Struct, frozen=True, gc=False):
    name: str
    context: _Context


class _File(msgspec.Struct, frozen=True, rename="kebab", gc=False):
    current_context: str = ""
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None


class _Place(NamedTuple):
    """A part of the document: errors name it, paths in it are relative to its file's folder."""

    document: Document
    path: str
    folder: str

    def refuse(self, key: str, complaint: str) -> InvalidConfiguration:
        """Return the error for `key` of this part."""
        return self.document.error(f"{self.path}.{key}", complaint)

    def file(self, path: str) -> str:
        """Return the path that is meant."""
        return join(self.folder, path) if path else ""  # noqa: PTH118 - pathlib's import takes longer

    def decoded(self, key: str, text: str) -> bytes:
        """Return what is given in base64; raise InvalidConfiguration."""
        try:
            return b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            raise self.refuse(key, "is not base64; write `base64 -w0 FILE` of the PEM") from None


def read_kubeconfig(path: str) -> Access:
    """Return what the current context of the kubeconfig at `path` names.

    Raises IOFailure, DecodingFailure or InvalidConfiguration; each names the file and, where there is one, the line.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise IOFailure(f"{path}: no such file; name a kubeconfig with --kubeconfig") from None
    document = Document(text, path)
    file = document.convert(_File)
    folder = dirname(abspath(path))  # noqa: PTH100, PTH120 - pathlib's import takes longer
    if not file.current_context:
        raise document.error(".current-context", "is not set; name one of the contexts in it")
    contexts = {named.name: named.context for named in file.contexts or ()}
    context = contexts.get(file.current_context)
    if context is None:
        raise document.error(
            ".current-context", f"{file.current_context!r} is none of the contexts; {_known(contexts)}"
        )
    at = next(i for i, named in enumerate(file.contexts or ()) if named.name == file.current_context)
    clusters = {named.name: (i, named.cluster) for i, named in enumerate(file.clusters or ())}
    if context.cluster not in clusters:
        complaint = f"{context.cluster!r} is none of the clusters; {_known(clusters)}"
        raise document.error(f".contexts[{at}].context.cluster", complaint)
    users = {named.name: (i, named.user or _User()) for i, named in enumerate(file.users or ())}
    if context.user and context.user not in users:
        raise document.error(f".contexts[{at}].context.user", f"{context.user!r} is none of the users; {_known(users)}")
    index, cluster = clusters[context.cluster]
    server = _server(cluster, _Place(document, f".clusters[{index}].cluster", folder))
    if not context.user:
        return Access(server, Identity())
    index, user = users[context.user]
    return Access(server, _credentials(user, server, _Place(document, f".users[{index}].user", folder)))


def _known(names: dict[str, Any]) -> str:
    return f"it has: {', '.join(names) or 'none'}"


def _server(cluster: _Cluster, place: _Place) -> Server:
    """Return the server; raise InvalidConfiguration."""
    if not cluster.server:
        raise place.refuse("server", "is missing; write the API server's address")
    if cluster.proxy_url:
        raise place.refuse("proxy-url", "is not understood: podnet goes to the API server itself; take it out")
    if cluster.insecure_skip_tls_verify and (cluster.certificate_authority or cluster.certificate_authority_data):
        raise place.refuse("insecure-skip-tls-verify", "contradicts the certificate-authority beside it; keep one")
    scheme, host, port, prefix = split_url(cluster.server, place.refuse("server", "").msg.rstrip())
    data = place.decoded("certificate-authority-data", cluster.certificate_authority_data)
    try:
        pem = data.decode("ascii")
    except UnicodeDecodeError:
        raise place.refuse("certificate-authority-data", "is not PEM; write `base64 -w0 ca.crt`") from None
    return Server(
        source=place.document.source,
        scheme=scheme,
        host=host,
        port=port,
        prefix=prefix,
        ca_file="" if pem else place.file(cluster.certificate_authority),
        ca_data=pem,
        insecure=cluster.insecure_skip_tls_verify,
        name=cluster.tls_server_name,
    )


def _credentials(user: _User, server: Server, place: _Place) -> Credentials:
    """Return who asks; a token goes before name and password, and what is given as data before its file."""
    if user.auth_provider is not None:
        raise place.refuse("auth-provider", "is gone from Kubernetes since 1.26; use exec with the provider's plugin")
    if user.as_:
        raise place.refuse("as", "is not understood; give podnet a user of its own")
    if user.exec is not None:
        return Plugin(_command(user.exec, place), server)
    certificate = _certificate(user, place)
    if user.token_file:
        return TokenFile(place.file(user.token_file), certificate)
    if user.token:
        where = place.refuse("token", "").msg.rstrip()
        return Identity(bearer(user.token, where)["Authorization"], certificate)
    if user.username:
        return Identity(basic(user.username, user.password), certificate)
    return Identity("", certificate)


def _certificate(user: _User, place: _Place) -> Certificate | None:
    """Return the client's certificate, if one is given; raise InvalidConfiguration where its key is not."""
    certificate = place.decoded("client-certificate-data", user.client_certificate_data) or place.file(
        user.client_certificate
    )
    key = place.decoded("client-key-data", user.client_key_data) or place.file(user.client_key)
    if bool(certificate) != bool(key):
        there, lacking = ("certificate", "key") if certificate else ("key", "certificate")
        raise place.refuse(f"client-{lacking}", f"is missing beside the client's {there}; give it, or its -data")
    return Certificate(certificate, key, place.document.source) if certificate else None


def _command(given: _Exec, place: _Place) -> Command:
    """Return the plugin's command; raise InvalidConfiguration."""
    if given.api_version not in VERSIONS:
        raise place.refuse("exec.apiVersion", f"{given.api_version!r} is not understood; use {' or '.join(VERSIONS)}")
    if given.interactive_mode == "Always":
        raise place.refuse(
            "exec.interactiveMode", "Always needs a terminal, which a daemon has not; use another plugin"
        )
    return Command(
        source=place.document.source,
        # As client-go has it: a path that is relative is so to the file, a bare name is looked for in PATH.
        program=place.file(given.command) if "/" in given.command else given.command,
        version=given.api_version,
        arguments=tuple(given.args or ()),
        environment=tuple((variable.name, variable.value) for variable in given.env or ()),
        hint=given.install_hint,
        cluster_info=given.provide_cluster_info,
    )
