"""A batch: sequences on one machine, one after the other."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack

from tests.crashes.machine import Machine
from tests.crashes.runner import Disagreement, run
from tests.crashes.sequence import draw, variant


def batches(seeds: Iterable[int], most: int) -> list[tuple[int, ...]]:
    """Return `seeds` in batches of at most `most` that go together on one machine each."""
    kinds: dict[object, list[int]] = {}
    for seed in seeds:
        kinds.setdefault(variant(seed), []).append(seed)
    return [tuple(some[at : at + most]) for some in kinds.values() for at in range(0, len(some), most)]


def run_batch(seeds: Sequence[int], told: Callable[[], object] = lambda: None) -> "Counter[str]":
    """Carry out the sequences of `seeds`, all of one variant; `told` is called after each.  Raise `Disagreement`."""
    tally: Counter[str] = Counter()
    with ExitStack() as stack:
        datapath, vigilant = variant(seeds[0])
        machine = Machine(stack, datapath, vigilant=vigilant)
        for seed in seeds:
            tally += run(machine, draw(seed))
            told()
        try:
            machine.close()
        except AssertionError as error:
            raise Disagreement(f"seeds {seeds}, when the bystanders were gone too: {error}") from error
    return tally
