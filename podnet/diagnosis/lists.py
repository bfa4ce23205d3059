"""Which configuration the runtimes of this machine take, and whether the programs that they need with it are there."""

from collections.abc import Iterator, Mapping, Sequence

from podnet.diagnosis.finding import Finding
from podnet.inspection import Finding as Inspected
from podnet.inspection import Plugin

CHECK = "lists"
PLUGIN = "podnet"


def lists(
    path: str,
    rivals: Sequence[Inspected],
    plugins: Mapping[str, Sequence[Plugin]],
    *,
    installed: bool,
) -> Iterator[Finding]:
    """Yield why a runtime would not make pods with podnet.

    `path` is podnet's list, which is there if `installed`; `rivals` is what runtimes take in its place; `plugins` are,
    by runtime, the programs that it needs, as they were looked for.
    """
    if not installed:
        what = "podnet's network list is not there: runtimes have no network of podnet's, and kubelet is NotReady"
        remedy = (
            "start the daemon, which writes it once the node can serve pods: systemctl start podnet (in Kubernetes: "
            "see the log of podnet's pod)"
        )
        yield Finding(CHECK, "broken", what, f"{path} does not exist", remedy)
    for rival in rivals:
        what = f"new pods are not podnet's: {rival.what}"
        remedy = rival.remedy
        if remedy.startswith("move it out"):
            remedy = f"mv {rival.place} {rival.place}.disabled, {remedy.partition(' ')[2].partition(' ')[2]}"
        yield Finding(CHECK, "broken", what, rival.place, remedy)
    for plugin, runtimes in _missing(plugins).items():
        reason = "every pod's `lo`" if plugin.name == "loopback" else "every pod"
        what = f"{' and '.join(runtimes)} cannot make {reason}: plugin {plugin.name} is {plugin.fault}"
        remedy = f"systemctl restart {PLUGIN} installs it" if plugin.fault == "missing" else plugin.hint
        yield Finding(CHECK, "broken", what, plugin.path or plugin.hint, remedy)


def _missing(plugins: Mapping[str, Sequence[Plugin]]) -> dict[Plugin, list[str]]:
    """Return the plugins that cannot be executed, each with the runtimes that would."""
    found: dict[Plugin, list[str]] = {}
    for runtime, needed in plugins.items():
        for plugin in needed:
            if plugin.fault:
                found.setdefault(plugin, []).append(runtime)
    return found
