"""BIRDs to speak with: each runs in a network namespace and is asked by birdc, BIRD's own client."""

import re
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from podnet.bird import Protocol, parse_protocols
from podnet.testing.namespaces import make_namespace
from podnet.testing.waiting import PATIENCE, eventually

_ROUTE = re.compile(r"(\S*)\s+(?:unicast|unreachable|blackhole)\b.*")


class Bird:
    """A BIRD with the configuration `text` in `namespace`; `stack` ends it."""

    def __init__(self, namespace: str, text: str, stack: ExitStack) -> None:
        """Start it, and wait until it answers."""
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bird-")))
        (self.folder / "conf").write_text(text, encoding="utf-8")
        words = ["nsenter", f"--net=/run/netns/{namespace}", "/usr/sbin/bird", "-f"]
        files = ["-c", f"{self.folder}/conf", "-s", self.socket, "-P", f"{self.folder}/pid"]
        with (self.folder / "said").open("wb") as said:
            self.process = subprocess.Popen([*words, *files], stdout=said, stderr=said)
        stack.callback(self._end)
        eventually(self._answers, "BIRD")

    @property
    def socket(self) -> str:
        """Where it answers."""
        return f"{self.folder}/ctl"

    def ask(self, command: str, *, check: bool = True) -> str:
        """Return what it answers to `command`."""
        words = ["/usr/sbin/birdc", "-s", self.socket, command]
        return subprocess.run(words, capture_output=True, text=True, check=check).stdout

    def sessions(self) -> dict[str, Protocol]:
        """Return its protocols by name."""
        return {one.name: one for one in parse_protocols(self.ask("show protocols all").splitlines())}

    def routes(self, protocol: str) -> set[str]:
        """Return the prefixes that it has from a protocol."""
        found: set[str] = set()
        prefix = ""
        for line in self.ask(f"show route protocol '{protocol}'").splitlines():
            route = _ROUTE.fullmatch(line)
            if route:
                prefix = route[1] or prefix
                found.add(prefix)
        return found

    def received(self, protocol: str) -> int:
        """Return how many routes came, whatever became of them."""
        updates = re.search(r"Import updates: +(\d+)", self.ask(f"show protocols all '{protocol}'"))
        return int(updates[1]) if updates else 0

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "said").read_text(encoding="utf-8")
        return "Daemon is up" in self.ask("show status", check=False)

    def _end(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)


def cable(names: tuple[str, str], addresses: tuple[list[str], list[str]], stack: ExitStack) -> None:
    """Make two namespaces with a cable between, whose ends `up0` have these addresses; `stack` ends them."""
    for name in names:
        make_namespace(name, stack)
    one, other = names
    words = ["ip", "-n", one, "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", other]
    subprocess.run(words, check=True)
    for name, given in zip(names, addresses, strict=True):
        batch = "".join(f"addr add {address} dev up0{' nodad' if ':' in address else ''}\n" for address in given)
        lines = f"link set lo up\n{batch}link set up0 up\n"
        subprocess.run(["ip", "-n", name, "-batch", "-"], input=lines, text=True, check=True)
