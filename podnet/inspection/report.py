"""The whole inspection: every runtime judged, every folder read once, choices made, differences named."""

from collections.abc import Callable

import msgspec

from podnet.inspection import configurations, containerd, crio, executables, kubelet, podman
from podnet.inspection.values import (
    BIN_DIR,
    CONF_DIR,
    Configuration,
    Finding,
    Folder,
    Plugin,
    Report,
    Runtime,
    View,
)

_JUDGES: tuple[Callable[[View], tuple[Runtime, list[Finding]]], ...] = (
    kubelet.judge,
    containerd.judge,
    crio.judge,
    podman.judge,
)
_KEYS = {  # what each calls its configuration folder and its plugins' folder
    "containerd": ("conf_dir", "bin_dir"),
    "cri-o": ("network_dir", "plugin_dirs"),
    "podman": ("network_config_dir", "cni_plugin_dirs"),
    "kubelet": ("--cni-conf-dir", "--cni-bin-dir"),
}
_ENDPOINTS = {"containerd": "containerd", "crio": "cri-o", "dockershim": "docker", "cri-dockerd": "cri-dockerd"}


def inspect(view: View, conf_dir: str = CONF_DIR, bin_dir: str = BIN_DIR) -> Report:
    """Return the report for the root that `view` shows; `conf_dir` and `bin_dir` are where podnet installs itself.

    A machine without any runtime is judged as if a runtime with containerd's rule read podnet's own folders.
    """
    findings: list[Finding] = []
    runtimes: list[Runtime] = []
    for judge in _JUDGES:
        runtime, found = judge(view)
        findings += found
        if runtime.evidence:
            runtimes.append(runtime)
    readers = [runtime for runtime in runtimes if runtime.rule != "none"]
    if not readers:
        assumed = Runtime(name="(no runtime)", conf_dir=conf_dir, bin_dirs=(bin_dir,), rule="first-must-load")
        runtimes.append(assumed)
    paths = dict.fromkeys((conf_dir, *(runtime.conf_dir for runtime in readers)))
    folders = {path: configurations.folder(view, path) for path in paths}
    for folder in folders.values():
        findings += _folder_findings(folder)
    chosen = [_choose(view, runtime, folders) for runtime in runtimes]
    for runtime in chosen:
        findings += _choice_findings(runtime)
        findings += _difference_findings(runtime, conf_dir, bin_dir)
    findings += _endpoint_findings(chosen)
    places = dict.fromkeys((bin_dir, *(folder for runtime in readers for folder in runtime.bin_dirs)))
    programs = tuple(view.names(place) for place in places)
    return Report(view.machine, tuple(folders.values()), programs, tuple(chosen), tuple(dict.fromkeys(findings)))


def _plugins(view: View, configuration: Configuration, folders: tuple[str, ...]) -> tuple[Plugin, ...]:
    named = [executables.find(view, name, "plugin", folders) for name in dict.fromkeys(configuration.plugins)]
    ipam = [
        executables.find(view, name, "delegate", folders)
        for name in configuration.delegates
        if name not in configuration.plugins  # podnet's `ipam` is podnet itself
    ]
    return (*named, *ipam)


def _choose(view: View, runtime: Runtime, folders: dict[str, Folder]) -> Runtime:
    if runtime.rule == "none":
        return runtime
    folder = folders[runtime.conf_dir]

    def complete(configuration: Configuration) -> bool:
        # ocicni validates the plugins of the list itself, not what they delegate to
        found = (executables.find(view, name, "plugin", runtime.bin_dirs) for name in configuration.plugins)
        return not any(plugin.fault for plugin in found)

    choice = configurations.choose(folder, runtime.rule, runtime.network, complete, runtime.most)
    winner = next((c for c in folder.configurations if c.path == choice.path), None)
    plugins = _plugins(view, winner, runtime.bin_dirs) if winner else ()
    return msgspec.structs.replace(runtime, choice=choice, plugins=plugins)


def _folder_findings(folder: Folder) -> list[Finding]:
    findings = []
    if folder.fault:
        findings.append(Finding("error", folder.path, folder.fault, "make it a readable folder"))
    for configuration in folder.configurations:
        if configuration.fault:
            remedy = "mend it, or move it out of the folder"
            findings.append(Finding("error", configuration.path, f"does not load: {configuration.fault}", remedy))
    findings += [
        Finding("info", f"{folder.path}/{name}", "not considered: its name does not end in .conf, .conflist or .json")
        for name in folder.ignored
    ]
    names: dict[str, str] = {}
    for configuration in folder.configurations:
        if configuration.name and configuration.name in names:
            what = f"has the same network name, {configuration.name!r}, as {names[configuration.name]}"
            findings.append(Finding("warning", configuration.path, what, "names must differ: cri-o ignores the second"))
        names.setdefault(configuration.name, configuration.path)
    return findings


def _choice_findings(runtime: Runtime) -> list[Finding]:
    if runtime.rule == "none":
        return []
    if not runtime.choice.path:
        remedy = "`podnet node run` writes 10-podnet.conflist when the node is ready; until then pods get no network"
        return [Finding("error", runtime.conf_dir, f"{runtime.name} has no network: {runtime.choice.why}", remedy)]
    return [
        Finding("error", plugin.path or plugin.name, f"{plugin.name}: {plugin.fault}", plugin.hint)
        for plugin in runtime.plugins
        if plugin.fault
    ]


def _difference_findings(runtime: Runtime, conf_dir: str, bin_dir: str) -> list[Finding]:
    """Return where `runtime` looks elsewhere than where podnet installs itself, or uses another network."""
    if runtime.rule == "none":
        return []
    findings = []
    if runtime.conf_dir.rstrip("/") != conf_dir.rstrip("/"):
        what = f"{runtime.name} reads {runtime.conf_dir}, podnet writes its configuration to {conf_dir}"
        remedy = f"give {runtime.name} {_KEYS[runtime.name][0]} {conf_dir}, or copy the file when it changes"
        findings.append(Finding("warning", runtime.name, what, remedy))
    if bin_dir.rstrip("/") not in {folder.rstrip("/") for folder in runtime.bin_dirs}:
        what = (
            f"{runtime.name} looks for plugins in {', '.join(runtime.bin_dirs)}, podnet installs its own to {bin_dir}"
        )
        remedy = (
            f"give {runtime.name} {_KEYS[runtime.name][1]} {bin_dir}, or ln -s {bin_dir}/podnet {runtime.bin_dirs[0]}"
        )
        findings.append(Finding("warning", runtime.name, what, remedy))
    if runtime.choice.path and all(plugin.name != "podnet" for plugin in runtime.plugins):
        what = f"{runtime.name} uses {runtime.choice.path} ({runtime.choice.why}), which does not name podnet"
        remedy = "move that file away, or give podnet's a name that sorts before it"
        findings.append(Finding("info", runtime.choice.path, what, remedy))
    return findings


def _endpoint_findings(runtimes: list[Runtime]) -> list[Finding]:
    """Return a finding where the kubelet is pointed at a runtime that does not seem to be here."""
    present = {runtime.name for runtime in runtimes}
    findings = []
    for runtime in runtimes:
        for setting in runtime.settings:
            if setting.name not in {"container-runtime-endpoint", "containerRuntimeEndpoint"}:
                continue
            named = next((name for word, name in _ENDPOINTS.items() if word in setting.value), "")
            if named in {"containerd", "cri-o"} and named not in present:
                what = f"the kubelet is pointed at {setting.value}, but no {named} was found"
                findings.append(Finding("warning", setting.source, what, f"install {named}, or change the endpoint"))
    return findings
