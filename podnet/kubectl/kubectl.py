"""kubectl as a function: words in, its output or an error that says what to do."""

import subprocess
from typing import Any, NamedTuple

import msgspec

from podnet.errors import IOFailure

REMEDIES = {
    "(NotFound)": "is it in another namespace, or of another cluster (--context)?",
    "(Forbidden)": "that takes rights to get nodes, pods and events and to create pods/exec",
}
"""What to do where an error of the API server's has this in it."""


class Kubectl(NamedTuple):
    """kubectl with the options that choose a cluster, before every command."""

    options: tuple[str, ...] = ()

    def run(self, *words: str, given: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Return what `kubectl words` said, having read `given`; raise IOFailure where it cannot run or says no."""
        command = ["kubectl", *self.options, *words]
        try:
            done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise IOFailure("kubectl is not on PATH; install it, kubernetes.io/docs/tasks/tools tells how") from None
        if check and done.returncode:
            before, _, said = done.stderr.strip().rpartition("\n")  # what it complains of comes before what came of it
            remedy = next((REMEDIES[sign] for sign in REMEDIES if sign in said), "see that `kubectl get nodes` works")
            said = said or f"exit status {done.returncode}"
            raise IOFailure(f"`{' '.join(command)}`: {said}; {remedy}", before)
        return done

    def get(self, *words: str) -> Any:
        """Return `kubectl get words` as objects."""
        return msgspec.json.decode(self.run("get", *words, "--output", "json").stdout)
