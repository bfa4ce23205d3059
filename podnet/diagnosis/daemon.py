"""Whether somebody looks after the node at all."""

from collections.abc import Iterator

from podnet.diagnosis.finding import Finding

CHECK = "daemon"


def daemon(socket: str, *, served: bool) -> Iterator[Finding]:
    """Yield a finding where nobody is `served` at the daemon's `socket`."""
    if not served:
        what = "no daemon runs: nodes that join are not reached, and what others take away is not put back"
        remedy = (
            "systemctl start podnet (in Kubernetes: kubectl -n kube-system get pods -l app.kubernetes.io/name=podnet)"
        )
        yield Finding(CHECK, "soon", what, f"nobody listens on {socket}", remedy)
