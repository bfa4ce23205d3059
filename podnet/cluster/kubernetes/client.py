"""The API server, asked: how it says no, and what helps."""

import msgspec

from podnet.cluster.kubernetes.decoding import Status
from podnet.cluster.remote import http
from podnet.cluster.remote.access import Access

REMEDIES = {
    401: "the token or certificate is not valid (any more); give podnet another",
    403: "allow it: a ClusterRole with list and watch on nodes and pods, and patch on nodes and nodes/status",
    404: "this is no Kubernetes API server, or the object is gone",
    410: "the list is taken anew",
    429: "the server is busy; it is asked again",
}


class Client(http.Client):
    """Asks an API server."""

    def __init__(self, access: Access) -> None:
        """Take the server and who asks; nothing is connected before somebody asks."""
        super().__init__(access, http.Dialect(_understand, REMEDIES, "see the API server's log"))


def _understand(status: int, body: bytes) -> tuple[int, str]:
    """Return `status`, and the message of a Status object."""
    try:
        return status, msgspec.json.decode(body, type=Status).message
    except (msgspec.DecodeError, UnicodeDecodeError):
        return status, ""
