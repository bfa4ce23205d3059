"""`lab check`: the matrix carried out, by way of services too, which exist for as long as that takes."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from podnet.errors import IOFailure
from podnet.lab import matrix, prober, record
from podnet.lab.greeting import greet
from podnet.lab.topology import Endpoint, Topology


class Checked(NamedTuple):
    """A finished check: who took part, what came of each probe, and how long it took in seconds."""

    ends: tuple[Endpoint, ...]
    outcomes: list[matrix.Outcome]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every probe came out as expected."""
        return all(outcome.ok for outcome in self.outcomes)


def check(name: str, report: Callable[[int, int], None] = lambda _done, _of: None) -> Checked:
    """Probe the whole of lab `name`; `report` hears how many probes of how many are done."""
    recorded = record.read(name)
    lab = recorded.topology
    ends = recorded.endpoints
    offered = matrix.services(ends, lab.families)
    probes = [*matrix.expected(ends, lab.families, lab.pod_mtu), *matrix.service_probes(ends, offered)]
    began = time.monotonic()
    if lab.backend == "wireguard":
        greet(ends)
    with serving(lab, offered):
        outcomes = prober.run(probes, ends, lambda done: report(done, len(probes)))
    return Checked(ends, outcomes, time.monotonic() - began)


@contextmanager
def serving(lab: Topology, offered: Sequence[matrix.Service]) -> Iterator[None]:
    """For the block, have `offered` translated on its nodes, in a table of the check's own."""
    names = list(dict.fromkeys(service.node for service in offered))
    try:
        _nft({lab.namespace(n): matrix.service_rules(n, offered) for n in names})
        yield
    finally:
        _nft({lab.namespace(n): f"table {matrix.TABLE}\ndelete table {matrix.TABLE}\n" for n in names})


def _nft(scripts: dict[str, str]) -> None:
    """Run an ``nft`` script in each namespace, side by side; raise `IOFailure` with nft's own words."""
    running = {
        name: subprocess.Popen(
            ["ip", "netns", "exec", name, "nft", "-f", "-"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for name in scripts
    }  # fmt: skip
    told = {name: nft.communicate(scripts[name])[1].strip() for name, nft in running.items()}
    for name, nft in running.items():
        if nft.returncode != 0:
            raise IOFailure(f"ip netns exec {name} nft -f -: {told[name]}", scripts[name])
