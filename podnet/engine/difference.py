"""What CHECK says of the first fact that is not as ADD left it."""

from podnet.plan import Link, Object, Plan, State, Step, headline, key_of

SHOWN = ("kind", "mac", "mtu", "group", "alias", "master", "isolated", "ipv6_autoconf", "up")


def first_difference(observed: State, difference: Plan, namespace: str) -> str:
    """Return the first difference as expected and found; `namespace` is the pod's, as commands name it."""
    step = difference.steps[0]
    found = observed.get(key_of(step.object))
    more = len(difference.steps) - 1
    others = f" (and {more} more)" if more else ""
    return f"{_fault(step, found, namespace)}{others}; DEL and ADD the container again"


def _fault(step: Step, found: Object | None, namespace: str) -> str:
    command = headline(step._replace(verb="add"), namespace)
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
    return f"expected {command}, found {headline(Step(found, '', 'add'), namespace)}"
