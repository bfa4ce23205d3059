"""The reflector beside a naive model: a server that forgets, pages that are interrupted, watches that end anywhere."""

from hypothesis import given
from hypothesis import strategies as st

from podnet.cluster.remote.backoff import FIRST, MOST, Backoff
from podnet.cluster.remote.reflector import GONE, Bookmark, Changes, Deleted, List, Page, Reflector, Stored, Watch

Event = Stored[int] | Deleted | Bookmark


class Model:
    """A server in few words: every state it ever had, one to a version; what is below `oldest` is forgotten."""

    def __init__(self) -> None:
        """Begin empty, at version 1."""
        self.states: list[dict[str, int]] = [{}, {}]
        self.events: list[Event] = [Bookmark("0"), Bookmark("1")]
        self.oldest = 1

    @property
    def version(self) -> int:
        """The version it is at."""
        return len(self.states) - 1

    def change(self, key: str, value: int | None) -> None:
        """Store a value, or delete (None)."""
        state, version = dict(self.states[-1]), str(len(self.states))
        if value is None and key not in state:
            self.events.append(Bookmark(version))
        elif value is None:
            del state[key]
            self.events.append(Deleted(key, version))
        else:
            state[key] = value
            self.events.append(Stored(key, version, value))
        self.states.append(state)

    def page(self, resume: str, size: int) -> Page[int] | None:
        """Return a page of a list, None where its token is gone."""
        version, start = map(int, resume.split(".")) if resume else (self.version, 0)
        if resume and version < self.oldest:
            return None
        items = sorted(self.states[version].items())
        more = f"{version}.{start + size}" if start + size < len(items) else ""
        return Page(tuple(Stored(k, str(version), v) for k, v in items[start : start + size]), str(version), more)


keys = st.sampled_from("abcdef")
step = st.one_of(
    st.tuples(st.just("change"), keys, st.one_of(st.none(), st.integers(0, 3))),
    st.tuples(st.just("ask"), st.integers(1, 3), st.integers(0, 4)),
    st.tuples(st.just("compact"), st.just(""), st.just(0)),
    st.tuples(st.just("fail"), st.just(""), st.sampled_from([401, 429, 500, 503, 504])),
)


def ask_once(reflector: Reflector[int], model: Model, mirror: dict[str, int], size: int, most: int) -> None:
    """Answer what the reflector asks, `most` events of a watch; mirror what it says has changed."""
    ask = reflector.ask()
    if isinstance(ask, List):
        page = model.page(ask.resume, size)
        if page is None:
            reflector.refused(GONE)
        else:
            follow(mirror, reflector, reflector.page(page))
    elif int(ask.version) < model.oldest:
        reflector.refused(GONE)
    else:
        for event in model.events[int(ask.version) + 1 :][:most]:
            follow(mirror, reflector, reflector.event(event))


def follow(mirror: dict[str, int], reflector: Reflector[int], changed: Changes) -> None:
    """Do to `mirror` what the reflector says has changed."""
    for key in changed:
        assert mirror.get(key) != reflector.objects.get(key), "told as changed, and is not"
        if key in reflector.objects:
            mirror[key] = reflector.objects[key]
        else:
            del mirror[key]
    assert mirror == reflector.objects, "changed, and not told"


@given(st.lists(step, max_size=60))
def test_whatever_happens_the_objects_are_the_servers(steps: list[tuple[str, object, object]]) -> None:
    """At all times they are a state that the server had, never an older one again, and in the end the last one.

    Each change is told, and nothing that is none.
    """
    model, reflector = Model(), Reflector[int]()
    mirror: dict[str, int] = {}
    seen = 0
    for what, one, other in steps:
        if what == "change":
            model.change(str(one), other if isinstance(other, int) else None)
        elif what == "compact":
            model.oldest = model.version
        elif what == "fail":
            before = reflector.ask()
            reflector.refused(int(str(other)))
            assert reflector.ask() == before
        else:
            ask_once(reflector, model, mirror, int(str(one)), int(str(other)))
        if reflector.synced:
            seen = min(v for v in range(seen, len(model.states)) if model.states[v] == reflector.objects)
    for _ in range(20):
        ask_once(reflector, model, mirror, 2, 100)
    assert reflector.synced
    assert reflector.objects == model.states[-1]
    assert reflector.ask() == Watch(str(model.version))


def test_until_a_list_is_whole_nothing_changes() -> None:
    """The pages of a list show together."""
    reflector = Reflector[int]()
    assert reflector.page(Page((Stored("a", "1", 1),), "1", "t")) == frozenset()
    assert (reflector.objects, reflector.synced, reflector.ask()) == ({}, False, List("t"))
    assert reflector.page(Page((Stored("b", "1", 2),), "1")) == {"a", "b"}
    assert (reflector.objects, reflector.synced, reflector.ask()) == ({"a": 1, "b": 2}, True, Watch("1"))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_waits_grow_to_a_bound_and_begin_anew(draws: list[float]) -> None:
    """Each is between half and all of 0.2 s, 0.4 s and so on to 30 s."""
    numbers = iter([*draws, 1.0])
    backoff = Backoff(lambda: next(numbers))
    for i in range(len(draws)):
        whole = min(MOST, FIRST * 2**i)
        assert whole / 2 <= backoff.wait() <= whole
    backoff.reset()
    assert backoff.wait() == FIRST
