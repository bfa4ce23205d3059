"""Which configuration the runtimes of this machine take, and whether the programs that they need with it are there."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from podnet.diagnosis.finding import Finding, Severity
from podnet.inspection import Plugin, Runtime

CHECK = "lists"
WITH_LOOPBACK = frozenset({"containerd", "cri-o"})
"""The runtimes that have a plugin `loopback` bring up each pod's `lo`."""
START = (
    "systemctl start podnet, which writes it once the node can serve pods; in Kubernetes the log of podnet's pod says "
    "what it waits for"
)


def needed(runtime: Runtime) -> tuple[str, ...]:
    """Return the plugins that `runtime` executes for a pod of podnet's."""
    return ("podnet", "loopback") if runtime.name in WITH_LOOPBACK else ("podnet",)


def lists(
    name: str,
    folders: tuple[str, str],
    runtimes: Sequence[Runtime],
    installed: Collection[str],
    plugins: Mapping[str, Sequence[Plugin]],
) -> Iterator[Finding]:
    """Yield why a runtime would not make pods with podnet, whose list is called `name`.

    `folders` are where podnet installs itself if it is not told otherwise: the list's and the plugin's; `installed` are
    the folders that have the list; `plugins` are, by runtime, what it executes, as it was looked for.
    """
    conf_dir, bin_dir = folders
    for runtime in runtimes:
        called, severity = runtime.name if runtime.evidence else "a runtime", _severity(runtime)
        where = runtime.conf_dir.rstrip("/")
        if where not in installed:
            elsewhere = f"podnet install --cni-conf-dir {where}"
            remedy = START if where == conf_dir.rstrip("/") else elsewhere
            what = f"podnet's list is not where {called} looks for one: pods get no network of podnet's"
            yield Finding(CHECK, severity, what, f"{where}/{name} does not exist", remedy)
        elif runtime.choice.path != f"{where}/{name}":
            yield _rival(called, runtime, f"{where}/{name}")
        yield from _missing(called, runtime, bin_dir, plugins.get(runtime.name, ()))


def _severity(runtime: Runtime) -> Severity:
    """Return how grave it is where `runtime` does not make pods with podnet: not at all grave while it does not run.

    As a containerd that came with something else does not make pods; podman is no daemon.
    """
    running = any(each.startswith("process ") for each in runtime.evidence)
    return "note" if runtime.name in WITH_LOOPBACK and runtime.evidence and not running else "broken"


def _rival(called: str, runtime: Runtime, ours: str) -> Finding:
    """Return what the runtime takes in place of the list `ours`."""
    path, why = runtime.choice.path, runtime.choice.why
    if not path:
        what = f"{called} takes no list at all, and new pods get no network: {why}"
        return Finding(
            CHECK, _severity(runtime), what, runtime.conf_dir, "mend that file, or move it out of the folder"
        )
    what = f"new pods are another network's: {called} takes {path} in place of {ours}"
    if runtime.rule == "named":
        remedy = f"let {called}'s configuration name the network of {ours}, or none (cni_default_network)"
    else:
        remedy = f"mv {path} {path}.disabled, when its pods are gone"
    return Finding(CHECK, _severity(runtime), what, f"{path}: {why}", remedy)


def _missing(called: str, runtime: Runtime, bin_dir: str, plugins: Sequence[Plugin]) -> Iterator[Finding]:
    """Yield the plugins that the runtime cannot execute."""
    for plugin in plugins:
        if not plugin.fault:
            continue
        told = plugin.path or " and ".join(runtime.bin_dirs)
        remedy = plugin.hint
        if plugin.fault == "missing":
            ours = any(folder.rstrip("/") == bin_dir.rstrip("/") for folder in runtime.bin_dirs)
            remedy = "systemctl restart podnet" if ours else f"podnet install --cni-bin-dir {runtime.bin_dirs[0]}"
        what = f"{called} cannot start a pod without plugin {plugin.name}, and it is {plugin.fault}"
        yield Finding(CHECK, _severity(runtime), what, told, remedy)
