"""`kubectl podnet`: the same questions as `podnet`'s, asked of a whole cluster from where kubectl works.

kubectl runs what is on PATH as `kubectl-podnet`.  What belongs here: asking kubectl, and finding the node that knows.
What does not: answers about a node, which the podnet of that node gives (`kubectl exec`).
"""


def main() -> None:
    """Run `kubectl podnet`."""
    from podnet.kubectl.command import root  # noqa: PLC0415 - click only when it is run

    root(prog_name="kubectl podnet")
