"""A sequence: what a runtime, an administrator and bad luck do to one node, as a value drawn from a seed."""

from random import Random
from typing import Literal, NamedTuple, TypeAlias

Kind = Literal["podnet", "second", "lent"]
"""The networks: the node's own (ptp or bridge), one with its own bridge and few addresses, one of host-local's."""
Source = Literal["links", "rules", "commits", "time"]
"""What a moment is counted in: messages about links, about nftables, writes to the database; or just time."""

Way = Literal["", "no netns", "unknown", "twice"]

SLOTS = 7
WAYS: tuple[Way, ...] = ("", "", "", "no netns", "unknown", "twice")
PORTS = (7, 8080, 8081)
"""Few, so that several pods want the same."""
BANDWIDTH = {"ingressRate": 80_000_000, "egressRate": 80_000_000}


class Moment(NamedTuple):
    """The event of that `number`, counted in `source`, or so many milliseconds, whichever comes first."""

    source: Source
    number: int
    milliseconds: int


class Ask(NamedTuple):
    """ADD or DEL of the pod in `slot`: a DEL may come without CNI_NETNS, or name a container nobody ever heard of."""

    verb: Literal["ADD", "DEL"]
    slot: int
    kind: Kind
    ports: tuple[int, ...] = ()
    limited: bool = False
    way: Way = ""


class Storm(NamedTuple):
    """Requests all at once, with the daemon that serves; at `moment` it is killed, or told to end, or a shim is killed.

    `gathered` requests are served together; `waits` is whether the shims have ended before the next daemon starts.
    """

    asks: tuple[Ask, ...]
    end: Literal["", "kill -9", "SIGTERM", "kill -9 shim"] = ""
    moment: Moment = Moment("time", 0, 0)
    gathered: bool = False
    waits: bool = True


class Unheard(NamedTuple):
    """A request whose shim is killed while it waits for the daemon, which has not read it yet."""

    ask: Ask


class Alone(NamedTuple):
    """Requests while no daemon runs, each served by a one-shot; the first is killed at `moment`, where there is one."""

    asks: tuple[Ask, ...]
    moment: Moment | None


class Check(NamedTuple):
    """CHECK of the pod in `slot`, with the result of its ADD."""

    slot: int


class Collect(NamedTuple):
    """GC of a network with the attachments that the runtime knows of; by a one-shot where no daemon is to be there."""

    kind: Kind
    alone: bool = False


class Status(NamedTuple):
    """STATUS of a network."""

    kind: Kind


class Install(NamedTuple):
    """`podnet install` over an older shim, killed at `moment` where there is one."""

    moment: Moment | None


class Restart(NamedTuple):
    """The daemon ends and starts; a start that is killed at `moment` is followed by another.

    Meanwhile there are requests, whose one-shots and the daemon that starts wait for each other.
    """

    kill: bool
    moment: Moment | None
    asks: tuple[Ask, ...] = ()


class Die(NamedTuple):
    """The namespace of the pod in `slot` ends, and nobody says DEL: the runtime forgets it."""

    slot: int


Step: TypeAlias = Storm | Unheard | Alone | Check | Collect | Status | Install | Restart | Die


class Sequence(NamedTuple):
    """Steps, and the node to take them on."""

    seed: int
    datapath: Literal["ptp", "bridge"]
    vigilant: bool
    """Whether the daemon looks for pods that have gone all the time, or not at all."""
    steps: tuple[Step, ...]


def variant(seed: int) -> tuple[Literal["ptp", "bridge"], bool]:
    """Return the datapath of a seed's node, and whether it is vigilant."""
    return ("ptp", "bridge")[seed % 2], bool(seed // 2 % 2)


def draw(seed: int) -> Sequence:
    """Return the sequence of `seed`, always the same."""
    dice = Random(seed)  # noqa: S311 - repeatable, not secret
    steps: list[Step] = [_storm(dice, dice.randint(2, 6), ("ADD",))]
    steps += [_step(dice) for _ in range(dice.randint(8, 16))]
    return Sequence(seed, *variant(seed), tuple(steps))


def _step(dice: Random) -> Step:
    kind: Kind = dice.choice(["podnet", "second"])
    steps: dict[str, tuple[int, Step]] = {
        "one": (6, _storm(dice, 1)),
        "storm": (4, _storm(dice, dice.randint(2, 8))),
        "killed": (5, _storm(dice, dice.randint(1, 8))._replace(end="kill -9", waits=dice.random() < 0.7)),
        "ended": (2, _storm(dice, dice.randint(1, 8))._replace(end="SIGTERM", waits=dice.random() < 0.7)),
        "shim": (2, _storm(dice, dice.randint(1, 4))._replace(end="kill -9 shim")),
        "unheard": (2, Unheard(_ask(dice))),
        "alone": (1, Alone(_asks(dice, 2), None)),
        "alone killed": (3, Alone(_asks(dice, 2), _moment(dice, 400))),
        "check": (3, Check(dice.randrange(SLOTS))),
        "collect": (3, Collect(kind, dice.random() < 0.2)),
        "status": (1, Status(kind)),
        "install": (1, Install(dice.choice([None, Moment("time", 0, dice.randrange(300))]))),
        "restart": (1, Restart(dice.random() < 0.5, dice.choice([None, _moment(dice, 300)]))),
        "restart amid": (2, Restart(dice.random() < 0.5, dice.choice([None, _moment(dice, 500)]), _asks(dice, 3))),
        "die": (2, Die(dice.randrange(SLOTS))),
    }
    (name,) = dice.choices(list(steps), [weight for weight, _ in steps.values()])
    return steps[name][1]


def _storm(dice: Random, count: int, verbs: tuple[Literal["ADD", "DEL"], ...] = ("ADD", "ADD", "DEL")) -> Storm:
    asks = tuple(_ask(dice, verbs) for _ in range(count))
    return Storm(asks, moment=_moment(dice, 60), gathered=dice.random() < 0.5)


def _asks(dice: Random, most: int) -> tuple[Ask, ...]:
    return tuple(_ask(dice) for _ in range(dice.randint(1, most)))


def _ask(dice: Random, verbs: tuple[Literal["ADD", "DEL"], ...] = ("ADD", "ADD", "DEL")) -> Ask:
    verb, slot = dice.choice(verbs), dice.randrange(SLOTS)
    kinds: list[Kind] = dice.choices(("podnet", "second", "lent"), (5, 3, 2))
    ports = tuple(sorted(dice.sample(PORTS, dice.randint(1, 2)))) if dice.random() < 0.35 else ()
    limited, way = dice.random() < 0.3, dice.choice(WAYS)
    return Ask("ADD", slot, kinds[0], ports, limited) if verb == "ADD" else Ask("DEL", slot, kinds[0], way=way)


def _moment(dice: Random, milliseconds: int) -> Moment:
    sources: list[Source] = dice.choices(("links", "rules", "commits", "time"), (4, 2, 2, 3))
    if sources[0] == "time":
        return Moment("time", 0, dice.randrange(milliseconds))
    return Moment(sources[0], dice.randint(1, 16), 2 * milliseconds)
