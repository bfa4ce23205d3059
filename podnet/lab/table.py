"""Outcomes as text and as plain JSON values.  Pure: `paint` adds colours where there are any."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from podnet.lab.convergence import EVERY, Watched
from podnet.lab.matrix import Kind, Outcome, Probe, Through, look_at
from podnet.lab.topology import Endpoint

Paint = Callable[[str, str], str]  # text and colour (green, red, dim, bold, …) to text

GOOD, BAD, NOT_ASKED = "✓", "✗", "·"
LEGEND = f"""\
rows: sources, columns: targets; the address that a target sees is checked too: a pod's own within
the cluster, its node's outside.  {GOOD} all of T TCP, U UDP, I ICMP echo, F a full-MTU packet with DF,
B one byte more with DF brings back the news that it is too big.  {BAD} and the letters of those that
failed.  {NOT_ASKED} not asked: the outside has no route to pods."""
THROUGH = {
    Through.DNAT: "pod → DNATed address → another pod of the node",
    Through.HAIRPIN: "pod → DNATed address → itself (hairpin)",
}


def plain(text: str, _colour: str) -> str:
    """Paint nothing."""
    return text


def cell(outcomes: Sequence[Outcome]) -> str:
    """Return what one pair's cell says."""
    if not outcomes:
        return NOT_ASKED
    failed = [o.probe.kind for o in outcomes if not o.ok]
    return BAD + "".join(kind.letter for kind in Kind if kind in failed) if failed else GOOD


def matrix(ends: Sequence[Endpoint], outcomes: Iterable[Outcome], version: int, paint: Paint = plain) -> str:
    """Return the matrix of one IP `version`: a row per source, a column per target."""
    cells: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        probe = outcome.probe
        if probe.version == version and probe.through is Through.DIRECT:
            cells.setdefault((probe.source, probe.target), []).append(outcome)
    names = [end.name for end in ends]
    rows = [[cell(cells.get((source, target), ())) for target in names] for source in names]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    first = max(map(len, (f"IPv{version}", *names)))
    lines = [paint(f"IPv{version}".ljust(first), "bold") + "  " + "  ".join(map(str.ljust, names, widths))]
    for name, row in zip(names, rows, strict=True):
        shown = [
            paint(text, _colour(text)) + " " * (width - len(text)) for text, width in zip(row, widths, strict=True)
        ]
        lines.append(f"{name.ljust(first)}  {'  '.join(shown)}")
    return "\n".join(line.rstrip() for line in lines)


def _colour(text: str) -> str:
    return {GOOD: "green", NOT_ASKED: "dim"}.get(text, "red")


def through(outcomes: Sequence[Outcome], paint: Paint = plain) -> str:
    """Return a line per family and way for the probes that go by way of a translated address, or an empty string."""
    lines = []
    for way, words in THROUGH.items():
        for version in (4, 6):
            these = [o for o in outcomes if o.probe.through is way and o.probe.version == version]
            if these:
                good = sum(o.ok for o in these)
                mark = paint(GOOD, "green") if good == len(these) else paint(BAD, "red")
                lines.append(f"{mark} IPv{version} {words}: {good} of {len(these)}")
    return "\n".join(lines)


def wanted(probe: Probe) -> str:
    """Return in words what `probe` expects."""
    if probe.kind is Kind.TOO_BIG:
        who = "a router, as ICMP" if probe.by_router else "the own link"
        return f"{probe.size} bytes with DF refused as too big, MTU {probe.mtu}, by {who}"
    words = {
        Kind.TCP: "a TCP connection that carries data both ways",
        Kind.UDP: "a UDP answer",
        Kind.ICMP: "an echo reply",
        Kind.FULL: f"a packet of {probe.size} bytes with DF to arrive",
    }[probe.kind]
    seen = f", seen as {' or '.join(map(str, probe.seen))}" if probe.seen and probe.kind is not Kind.ICMP else ""
    return words + seen


def failures(
    ends: Sequence[Endpoint], outcomes: Iterable[Outcome], lab: str, paint: Paint = plain, most: int | None = None
) -> Iterator[str]:
    """Yield, for each failed probe: who, whom, which; what was expected, what was found, and what to look at.

    After `most` of them (None: all), a line says how many more there are.
    """
    failed = [outcome for outcome in outcomes if not outcome.ok]
    for outcome in failed[:most]:
        probe = outcome.probe
        way = "" if probe.through is Through.DIRECT else f" ({probe.through} by {probe.to})"
        head = f"{BAD} {probe.source} → {probe.target}{way}, IPv{probe.version}, {probe.kind}"
        yield "\n".join([
            paint(head, "red"),
            f"    expected  {wanted(probe)}",
            f"    found     {outcome.found}",
            f"    look at   {look_at(probe, ends, lab)}",
        ])  # fmt: skip
    if most is not None and len(failed) > most:
        yield f"… and {len(failed) - most} more: --all prints each, --json too"


def summary(outcomes: Sequence[Outcome], seconds: float, paint: Paint = plain) -> str:
    """Return the last line: how many of how many."""
    good = sum(o.ok for o in outcomes)
    if good == len(outcomes):
        return paint(f"all {good} probes as expected", "green") + f", in {seconds:.1f} s"
    return paint(f"{len(outcomes) - good} of {len(outcomes)} probes failed", "red") + f", in {seconds:.1f} s"


def document(ends: Sequence[Endpoint], outcomes: Sequence[Outcome], seconds: float, lab: str) -> dict[str, object]:
    """Return everything as JSON values."""
    return {
        "lab": lab,
        "ok": all(o.ok for o in outcomes),
        "seconds": round(seconds, 3),
        "endpoints": [
            {"name": e.name, "role": e.role, "namespace": e.namespace, "addresses": [str(a) for a in e.addresses]}
            for e in ends
        ],
        "probes": [
            {
                "source": o.probe.source,
                "target": o.probe.target,
                "family": o.probe.version,
                "probe": o.probe.kind.value,
                "through": o.probe.through.value,
                "to": None if o.probe.to is None else str(o.probe.to),
                "ok": o.ok,
                "expected": wanted(o.probe),
                "found": o.found,
                "lookAt": "" if o.ok else look_at(o.probe, ends, lab),
            }
            for o in outcomes
        ],
    }


def streams(watched: Watched) -> str:
    """Return what became of streams: those that lost something, then all others together, then routes."""
    lines = []
    hurt = [flow for flow in watched.flows if flow.lost]
    for flow in hurt:
        if flow.ended(watched.seconds):
            words = f"no answer since {_since(flow.lost[0])}" if flow.lost[0] > 0 else "no answer still"
        elif flow.lost[0] < 0:
            words = f"answered again {_since(flow.lost[-1] + EVERY)}"
        else:
            words = f"{len(flow.lost)} lost in {flow.gap * 1000:.0f} ms, answered again {_since(flow.lost[-1] + EVERY)}"
        lines.append(f"  {flow.source} → {flow.target}  {words}")
    rest = [flow for flow in watched.flows if not flow.lost]
    lines.append(f"  {len(rest)} of {len(watched.flows)} streams lost none of {sum(f.sent for f in rest)} datagrams")
    if watched.routes:
        changes = ", ".join(f"{name} after {at * 1000:.0f} ms" for name, at in watched.routes.items())
        lines.append(f"  routes were as they now are: {changes}")
    return "\n".join(lines)


def _since(at: float) -> str:
    return f"{at * 1000:.0f} ms after it"
