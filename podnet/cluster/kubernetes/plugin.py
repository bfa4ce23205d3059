"""Credential plugins: a program that says who asks (client.authentication.k8s.io, v1 and v1beta1).

See "client-go credential plugins", Kubernetes documentation.  The program gets no terminal.
"""

import os
import subprocess
import time
from collections.abc import Callable
from datetime import datetime

import msgspec

from podnet.cluster.kubernetes.identity import bearer
from podnet.cluster.remote.access import Certificate, Server
from podnet.errors import DecodingFailure, IOFailure

VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
SECONDS = 60.0
"""How long a plugin is waited for."""
EARLY = 10.0
"""Seconds before a credential expires in which it is not used any more."""


class Command(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A plugin as a kubeconfig names it; `source` is where, `program` has its path."""

    source: str
    program: str
    version: str
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    hint: str = ""
    cluster_info: bool = False


class _Status(msgspec.Struct, frozen=True, rename="camel", gc=False):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _Credential(msgspec.Struct, frozen=True, rename="camel", gc=False):
    api_version: str
    kind: str
    status: _Status


class Plugin:
    """Credentials from a plugin, remembered until they expire or are refused."""

    def __init__(self, command: Command, server: Server, now: Callable[[], float] = time.time) -> None:
        """Take the command, the server it is for, and the clock."""
        self._command = command
        self._server = server
        self._now = now
        self._had: _Status | None = None

    def headers(self) -> dict[str, str]:
        """Return the header with the token, if it gives one; raise what executing it comes to."""
        status = self._current()
        return bearer(status.token, f"what {self._command.program} says") if status.token else {}

    def certificate(self) -> Certificate | None:
        """Return the certificate, if it gives one; likewise."""
        status = self._current()
        if not status.client_certificate_data:
            return None
        pem = status.client_certificate_data.encode(), status.client_key_data.encode()
        return Certificate(*pem, f"{self._command.source} (plugin {self._command.program})")

    def refused(self) -> None:
        """Forget what it said."""
        self._had = None

    def _current(self) -> _Status:
        had = self._had
        if had is None or (had.expiration_timestamp and had.expiration_timestamp.timestamp() - EARLY <= self._now()):
            had = self._had = self._execute()
        return had

    def _execute(self) -> _Status:
        """Run the plugin and return what it says; raise IOFailure or DecodingFailure."""
        command = self._command
        info = {"apiVersion": command.version, "kind": "ExecCredential", "spec": {"interactive": False}}
        if command.cluster_info:
            info["spec"] = {"interactive": False, "cluster": self._cluster()}
        variables = {
            **os.environ,
            **dict(command.environment),
            "KUBERNETES_EXEC_INFO": msgspec.json.encode(info).decode(),
        }
        hint = f"; {command.hint}" if command.hint else f"; try it by hand, or name another in {command.source}"
        words = [command.program, *command.arguments]
        try:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, capture_output=True, env=variables, timeout=SECONDS, check=False
            )
        except (OSError, ValueError) as error:
            raise IOFailure(f"{command.source}: plugin {command.program} cannot be run: {error}{hint}") from error
        except subprocess.TimeoutExpired:
            raise IOFailure(f"{command.source}: plugin {command.program} took more than {SECONDS:g} s{hint}") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise IOFailure(f"{command.source}: plugin {command.program} ended with {done.returncode}{hint}", said)
        return self._decode(done.stdout)

    def _decode(self, output: bytes) -> _Status:
        command = self._command
        try:
            credential = msgspec.json.decode(output, type=_Credential)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DecodingFailure(
                f"{command.source}: what plugin {command.program} says is no ExecCredential: {error}; correct it"
            ) from None
        status = credential.status
        if credential.api_version != command.version or credential.kind != "ExecCredential":
            raise DecodingFailure(
                f"{command.source}: plugin {command.program} says {credential.kind} {credential.api_version}, not "
                f"ExecCredential {command.version}; set exec.apiVersion to what it speaks"
            )
        if not status.token and not (status.client_certificate_data and status.client_key_data):
            raise DecodingFailure(
                f"{command.source}: plugin {command.program} gives neither token nor certificate and key"
            )
        return status

    def _cluster(self) -> dict[str, object]:
        """Return the cluster as plugins are told of it."""
        server = self._server
        known = {
            "server": server.url,
            "tls-server-name": server.name,
            "insecure-skip-tls-verify": server.insecure,
            "certificate-authority-data": _encoded(server),
        }
        return {key: value for key, value in known.items() if value}


def _encoded(server: Server) -> str:
    """Return the CA's certificates in base64, as a kubeconfig has them."""
    from base64 import b64encode  # noqa: PLC0415 - few plugins want it

    if not server.ca_file:
        return b64encode(server.ca_data.encode()).decode()
    try:
        with open(server.ca_file, "rb") as file:  # noqa: PTH123 - pathlib's import takes longer
            return b64encode(file.read()).decode()
    except OSError as error:
        raise IOFailure(f"{server.ca_file}: cannot be read: {error.strerror}; make it the cluster's CA") from error
