"""What CHECK and upkeep say of facts that are not as ADD left them."""

from podnet.nft import Rule
from podnet.plan import Link, Object, Plan, State, Step, Tbf, WireGuard, headline, key_of

SHOWN = ("kind", "mac", "mtu", "group", "alias", "master", "isolated", "ipv6_autoconf", "route_localnet", "vxlan", "up")


def first_difference(observed: State, difference: Plan, namespace: str) -> str:
    """Return the first difference as expected and found; `namespace` is the pod's, as commands name it."""
    told = faults(observed, difference, namespace)
    others = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    return f"{told[0]}{others}; DEL and ADD the container again"


def faults(observed: State, difference: Plan, namespace: str) -> list[str]:
    """Return every difference as expected and found; what is deleted to be made again is told once."""
    told = [(step, observed.get(key_of(step.object))) for step in difference.steps if _tells(step)]
    # What is as it should be on a link that is not goes with it, and is made again.
    return [_fault(step, found, namespace) for step, found in told if found != step.object or step.verb == "flush"]


def _tells(step: Step) -> bool:
    """Tell whether a step says something: of a chain's rules made anew, the chain's flush does."""
    return step.verb == "flush" or not (step.verb == "delete" or isinstance(step.object, Rule))


def _fault(step: Step, found: Object | None, namespace: str) -> str:
    command = headline(step._replace(verb="add"), namespace)
    if step.verb == "flush":
        return f"the rules of chain {step.object} are not podnet's, or not in their order"
    if found is None:
        return f"missing: {command}"
    if isinstance(step.object, Link) and isinstance(found, Link):
        wanted = step.object
        facts = [
            f"{name} expected {getattr(wanted, name)!r}, found {getattr(found, name)!r}"
            for name in SHOWN
            if getattr(wanted, name) != getattr(found, name) and (getattr(wanted, name) or name == "up")
        ]
        return f"{wanted.at} link {wanted.name}: {', '.join(facts)}"
    if isinstance(step.object, Tbf) and isinstance(found, Tbf):
        return f"{step.object.dev}: rate expected {step.object.rate} bytes/s, found {found.rate}"
    if isinstance(step.object, WireGuard) and isinstance(found, WireGuard):
        wanted_key = f"public key expected {step.object.public_key}, found {found.public_key or 'none'}"
        return f"{step.object.dev}: {wanted_key}; port expected {step.object.port}, found {found.port}"
    return f"expected {command}, found {headline(Step(found, '', 'add'), namespace)}"
