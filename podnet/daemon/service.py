"""The service: frames in, answers out.  The daemon's loop and the one-shot both answer through it.

Requests that wait together are answered together: ADDs share one commit, DELs one batch each for nftables and links.
Of one attachment they are answered in the order in which they came.

A configuration that names another plugin as its ``ipam.type`` is answered by a *course*: a generator that yields what
is to be executed and is sent what came of it, so that whoever drives it decides what else is done meanwhile.
"""

import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from podnet import cni
from podnet.cni import GC, Add, Attached, Check, Delete, Frame, Request, Status, Version
from podnet.daemon.delegate import Executed, Execution, execution_of, giving_back
from podnet.daemon.wishing import Wishing, explained
from podnet.engine import Engine, Job
from podnet.engine.ports import Namespace
from podnet.errors import InvalidEnvironment, PodnetError
from podnet.kernel.namespace import identity, is_network
from podnet.model import Lease, Network

OK, FAILED = 0, 1


class Call(NamedTuple):
    """One request as it came: the frame, and the descriptor of CNI_NETNS where the shim could open it."""

    frame: Frame
    netns: int | None = None

    @property
    def command(self) -> str:
        """CNI_COMMAND."""
        return self.frame.environment.get("CNI_COMMAND", "")

    @property
    def attachment(self) -> tuple[str, str] | None:
        """Container and interface, None for a verb that is about none."""
        environment = self.frame.environment
        key = environment.get("CNI_CONTAINERID", ""), environment.get("CNI_IFNAME", "")
        return key if any(key) else None

    @property
    def delegates(self) -> bool:
        """Whether another plugin is to be asked for addresses before this can be answered."""
        return self.command != "VERSION" and bool(cni.stated_part(self.frame.stdin).delegate)


class Answer(NamedTuple):
    """The exit status, what goes to standard output, and the ADD to take back should nobody hear the answer."""

    status: int
    stdout: bytes
    added: Delete | None = None


Course: TypeAlias = Generator[Execution, Executed, Answer]
DONE = Answer(OK, b"")


class Service:
    """Answers calls with `engine`; what configurations leave out comes from the network that `defaults` returns."""

    wishing: Wishing | None = None
    """Who knows what pods wish for; None where pods are not asked."""

    def __init__(self, engine: Engine, defaults: Callable[[], Network]) -> None:
        """Take the engine, and where the node's default network is to be had (it may change)."""
        self._engine = engine
        self._defaults = defaults

    def answer(self, calls: Sequence[Call]) -> list[Answer]:
        """Answer `calls`, none of which `delegates`, each with its own result or error, in their order; never raise."""
        return [answer for run in _runs(calls) for answer in self._answer_run(run)]

    def _answer_run(self, calls: Sequence[Call]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        adds: list[tuple[int, Job]] = []
        deletes: list[tuple[int, Delete]] = []
        for number, call in enumerate(calls):
            try:
                request = cni.parse(call.frame, self._defaults())
                attaches = isinstance(request, Add | Delete) and request.configuration.role != "loopback"
                if attaches and isinstance(request, Add):
                    if self.wishing is not None:
                        request = self.wishing.granted(request, self._defaults())
                    adds.append((number, Job(request, _namespace(call, request.netns))))
                elif attaches and isinstance(request, Delete):
                    deletes.append((number, request))
                else:
                    answers[number] = self._answer_at_once(request, call)
            except Exception as error:  # noqa: BLE001 - whatever happens, the runtime gets an answer
                answers[number] = failure(error, call.frame)
        answers.update(self._delete(deletes, calls))
        answers.update(self._add(adds, calls))
        return [answers[number] for number in range(len(calls))]

    def take_back(self, answers: Sequence[Answer]) -> None:
        """Undo the ADDs whose answers nobody heard."""
        self._engine.delete([answer.added for answer in answers if answer.added])

    def _add(self, adds: Sequence[tuple[int, Job]], calls: Sequence[Call]) -> dict[int, Answer]:
        if not adds:
            return {}
        try:
            outcomes = self._engine.add([job for _, job in adds])
        except Exception as error:  # noqa: BLE001 - as above
            return {number: failure(error, calls[number].frame) for number, _ in adds}
        return {
            number: failure(explained(job.request, outcome), calls[number].frame)
            if isinstance(outcome, PodnetError)
            else _added(job.request, outcome)
            for (number, job), outcome in zip(adds, outcomes, strict=True)
        }

    def _delete(self, deletes: Sequence[tuple[int, Delete]], calls: Sequence[Call]) -> dict[int, Answer]:
        if not deletes:
            return {}
        try:
            self._engine.delete([request for _, request in deletes])
        except Exception as error:  # noqa: BLE001 - as above
            return {number: failure(error, calls[number].frame) for number, _ in deletes}
        return {number: DONE for number, _ in deletes}

    def _answer_at_once(self, request: Request, call: Call) -> Answer:
        if isinstance(request, Version):
            return Answer(OK, cni.render_version(request.version))
        if isinstance(request, GC):
            self._engine.gc(request)
        elif isinstance(request, Status):
            self._engine.status(request)
        elif isinstance(request, Check):
            namespace = _namespace(call, request.netns)
            if request.configuration.role == "loopback":
                self._engine.check_loopback(namespace)
            else:
                self._engine.check(request, namespace)
        elif isinstance(request, Add):
            # The loopback plugin hands on what others made, and is content where it is the first.
            made = self._engine.loopback(_namespace(call, request.netns))
            return Answer(OK, cni.render_result(request.version, request.previous or made))
        return DONE

    # With another plugin's addresses

    def course(self, call: Call) -> Course:
        """Answer a `call` that `delegates`; never raise."""
        try:
            request = cni.parse(call.frame, self._defaults())
            if isinstance(request, Add):
                return (yield from self._add_delegated(request, call))
            if isinstance(request, Delete):
                self._engine.delete([request])
                yield from self._execute(call, request.configuration.delegate)
                for lease in self._engine.owed:
                    if lease.attachment == request.attachment:
                        self._engine.returned(lease)
                return DONE
            assert not isinstance(request, Version)  # noqa: S101 - Call.delegates says so
            if isinstance(request, GC):
                self._engine.gc(request)
            yield from self._execute(call, request.configuration.delegate)
            return DONE if isinstance(request, GC) else self._answer_at_once(request, call)
        except Exception as error:  # noqa: BLE001 - as above
            return failure(error, call.frame)

    def _add_delegated(self, request: Add, call: Call) -> Course:
        """Ask for addresses, attach, and give the addresses back where that fails (SPEC.md, "Delegated Plugins").

        A plugin knows container and interface only: told that an ADD is off, it frees what they have had before.  So
        whoever is attached is refused unasked, and what is owed of earlier is given back first.
        """
        namespace = _namespace(call, request.netns)
        plugin = request.configuration.delegate
        self._engine.clear(Job(request, namespace))
        for lease in self._engine.owed:
            if lease.attachment == request.attachment:
                answer = yield from self.give_back(lease)
                if answer.status:
                    raise cni.failure_of(plugin, answer.status, answer.stdout)
        if self._engine.unreaped:
            self._engine.reap()  # after a crash what was given back, but not closed, would be given back once more
        try:
            given = yield from self._execute(call, plugin)
            request = cni.with_addresses(request, call.frame, given)
            (outcome,) = self._engine.add([Job(request, namespace)])
        except Exception:
            yield execution_of(call.frame, plugin, call.netns, command="DEL")
            raise
        if isinstance(outcome, PodnetError):
            yield execution_of(call.frame, plugin, call.netns, command="DEL")
            return failure(outcome, call.frame)
        return _added(request, outcome)

    @staticmethod
    def _execute(call: Call, plugin: str) -> Generator[Execution, Executed, bytes]:
        executed = yield execution_of(call.frame, plugin, call.netns)
        if executed.status:
            raise cni.failure_of(plugin, executed.status, executed.stdout)
        return executed.stdout

    def give_back(self, lease: Lease) -> Course:
        """Tell the plugin that gave the addresses of `lease`, which is cut, that they are free again."""
        executed = yield giving_back(lease)
        if executed.status:
            return Answer(FAILED, executed.stdout)
        self._engine.returned(lease)
        return DONE


def _runs(calls: Sequence[Call]) -> Iterator[list[Call]]:
    """Yield `calls` in runs, in each of which no attachment stands twice."""
    run: list[Call] = []
    seen: set[tuple[str, str] | None] = set()
    for call in calls:
        if call.attachment in seen:
            yield run
            run, seen = [], set()
        run.append(call)
        seen.add(call.attachment)
    if run:
        yield run


def _added(request: Add, outcome: Attached) -> Answer:
    undo = Delete(
        attachment=request.attachment,
        netns=request.netns,
        configuration=request.configuration,
        args=request.args,
    )
    return Answer(OK, cni.render_result(request.version, outcome.after(request.previous)), undo)


def failure(error: Exception, frame: Frame) -> Answer:
    """Return the answer that tells of `error`; one that nobody foresaw brings its traceback in `details`."""
    if not isinstance(error, PodnetError):
        error.add_note("".join(traceback.format_exception(error)))
    return Answer(FAILED, cni.render_error(error, cni.version_of(frame)))


def _namespace(call: Call, path: str) -> Namespace:
    if call.netns is None:
        raise InvalidEnvironment(
            f"CNI_NETNS {path} came without a descriptor; the shim and podnet must be of one release"
        )
    if not is_network(call.netns):
        raise InvalidEnvironment(f"CNI_NETNS {path} is not a network namespace; `ip netns list` shows those with names")
    return Namespace(call.netns, identity(call.netns), path)
