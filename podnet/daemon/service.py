"""The service: frames in, answers out.  The daemon's loop and the one-shot both answer through it.

Requests that wait together are answered together: ADDs share one commit, DELs one batch each for nftables and links.
"""

import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple

from podnet import cni
from podnet.cni import Add, Check, Delete, Frame, Request, Version
from podnet.engine import Engine, Job
from podnet.engine.ports import Namespace
from podnet.errors import InvalidEnvironment, PodnetError
from podnet.kernel.namespace import identity, is_network
from podnet.model import Network

OK, FAILED = 0, 1


class Call(NamedTuple):
    """One request as it came: the frame, and the descriptor of CNI_NETNS where the shim could open it."""

    frame: Frame
    netns: int | None = None


class Answer(NamedTuple):
    """The exit status, what goes to standard output, and the ADD to take back should nobody hear the answer."""

    status: int
    stdout: bytes
    added: Delete | None = None


class Service:
    """Answers calls with `engine`; what configurations leave out comes from the network that `defaults` returns."""

    def __init__(self, engine: Engine, defaults: Callable[[], Network]) -> None:
        """Take the engine, and where the node's default network is to be had (it may change)."""
        self._engine = engine
        self._defaults = defaults

    def answer(self, calls: Sequence[Call]) -> list[Answer]:
        """Answer `calls`, each with its own result or error, in their order; never raise."""
        answers: dict[int, Answer] = {}
        adds: list[tuple[int, Job]] = []
        deletes: list[tuple[int, Delete]] = []
        for number, call in enumerate(calls):
            try:
                request = cni.parse(call.frame, self._defaults())
                if isinstance(request, Add):
                    adds.append((number, Job(request, _namespace(call, request.netns))))
                elif isinstance(request, Delete):
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
        answers = {}
        for (number, job), outcome in zip(adds, outcomes, strict=True):
            request = job.request
            if isinstance(outcome, PodnetError):
                answers[number] = failure(outcome, calls[number].frame)
                continue
            undo = Delete(
                attachment=request.attachment,
                netns=request.netns,
                configuration=request.configuration,
                args=request.args,
            )
            answers[number] = Answer(OK, cni.render_result(request.version, outcome), undo)
        return answers

    def _delete(self, deletes: Sequence[tuple[int, Delete]], calls: Sequence[Call]) -> dict[int, Answer]:
        if not deletes:
            return {}
        try:
            self._engine.delete([request for _, request in deletes])
        except Exception as error:  # noqa: BLE001 - as above
            return {number: failure(error, calls[number].frame) for number, _ in deletes}
        return {number: Answer(OK, b"") for number, _ in deletes}

    def _answer_at_once(self, request: Request, call: Call) -> Answer:
        if isinstance(request, Version):
            return Answer(OK, cni.render_version(request.version))
        assert isinstance(request, Check)  # noqa: S101 - ADD and DEL are answered together, above
        self._engine.check(request, _namespace(call, request.netns))
        return Answer(OK, b"")


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
