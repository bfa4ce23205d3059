"""A cluster's certificates and keys, made with openssl(1): an authority, the API server's, an administrator's."""

import base64
import subprocess
from collections.abc import Sequence
from pathlib import Path

DAYS = "2"


class Certificates:
    """Files in a folder: ca.crt, server.crt, admin.crt, each with its .key, and the key of service accounts."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Make them; the API server's is for `names`, as openssl writes subjectAltName."""
        self.folder = folder
        folder.mkdir()
        self._key("ca")
        self._openssl(
            "req", "-x509", "-key", "ca.key", "-out", "ca.crt", "-days", DAYS, "-subj", "/CN=podnet.test",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip
        self._signed("server", "/CN=kube-apiserver", "serverAuth", f"subjectAltName={','.join(names)}")
        self._signed("admin", "/O=system:masters/CN=admin", "clientAuth")
        self._key("accounts")
        self._openssl("pkey", "-in", "accounts.key", "-pubout", "-out", "accounts.pub")

    def path(self, name: str) -> str:
        """Return where a file is."""
        return str(self.folder / name)

    def base64(self, name: str) -> str:
        """Return a file as a kubeconfig holds it."""
        return base64.b64encode((self.folder / name).read_bytes()).decode()

    def _key(self, name: str) -> None:
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key")

    def _signed(self, name: str, subject: str, usage: str, *extensions: str) -> None:
        self._key(name)
        asked = self._openssl("req", "-new", "-key", f"{name}.key", "-subj", subject)
        (self.folder / "extensions").write_text("\n".join((f"extendedKeyUsage={usage}", *extensions)))
        self._openssl(
            "x509", "-req", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", DAYS,
            "-extfile", "extensions", "-out", f"{name}.crt", text=asked,
        )  # fmt: skip

    def _openssl(self, *argv: str, text: str = "") -> str:
        done = subprocess.run(
            ["openssl", *argv], cwd=self.folder, input=text, text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"openssl {' '.join(argv)}: {done.stderr}")
        return done.stdout
