"""cri-o: /etc/crio/crio.conf, then those of /etc/crio/crio.conf.d by name, then its flags (crio.conf(5))."""

from podnet.inspection.documents import Document, merged, table, text, texts, toml
from podnet.inspection.flags import of_text, of_words, programs, unit_files
from podnet.inspection.values import BIN_DIR, CONF_DIR, Finding, Runtime, Setting, View

CONFIG = "/etc/crio/crio.conf"
CONFIG_DIR = "/etc/crio/crio.conf.d"
PROGRAMS = ("/usr/bin/crio", "/usr/local/bin/crio")
_FLAGS = {
    "cni-config-dir": "network_dir",
    "cni-plugin-dir": "plugin_dirs",
    "cni-default-network": "cni_default_network",
}


def judge(view: View) -> tuple[Runtime, list[Finding]]:
    """Return what cri-o on this machine uses for CNI, and what is wrong with its configuration."""
    findings: list[Finding] = []
    running = programs(view, "crio")
    evidence = [f"process {process.pid}" for process in running]
    evidence += [path for path in PROGRAMS if not view.executable(path).missing]
    flags = [setting for source in unit_files(view, "crio.service") for setting in of_text(source)]
    flags += [setting for process in running for setting in of_words(process.argv[1:], f"process {process.pid}")]
    config = next((s.value for s in reversed(flags) if s.name in {"config", "c"}), CONFIG)
    drop_ins = next((s.value for s in reversed(flags) if s.name in {"config-dir", "d"}), CONFIG_DIR)
    document: Document = {}
    origin: dict[str, str] = {}
    for path in (config, *(f"{drop_ins}/{name}" for name in view.names(drop_ins).names)):
        source = view.read(path)
        if source.missing:
            continue
        evidence.append(path)
        read, fault = toml(source)
        if fault:
            findings.append(
                Finding("error", path, fault, "cri-o does not start with it: mend the file or move it away")
            )
            continue
        document = merged(document, read)
        origin |= dict.fromkeys(table(read, "crio", "network"), path)
    network = table(document, "crio", "network")
    for setting in flags:
        if setting.name in _FLAGS:
            key = _FLAGS[setting.name]
            network[key] = setting.value.split(",") if key == "plugin_dirs" else setting.value
            origin[key] = setting.source
    return _runtime(network, origin, tuple(evidence)), findings


def _runtime(network: Document, origin: dict[str, str], evidence: tuple[str, ...]) -> Runtime:
    conf_dir = text(network, "network_dir") or CONF_DIR
    bin_dirs = texts(network, "plugin_dirs")
    if text(network, "plugin_dir"):  # its old name, still appended
        bin_dirs = (*bin_dirs, text(network, "plugin_dir"))
    name = text(network, "cni_default_network")
    settings = [
        Setting("network_dir", conf_dir, origin.get("network_dir", "default")),
        Setting("plugin_dirs", " ".join(bin_dirs or (BIN_DIR,)), origin.get("plugin_dirs", "default")),
    ]
    if "plugin_dir" in network:
        settings.append(Setting("plugin_dir", text(network, "plugin_dir"), origin["plugin_dir"]))
    if name:
        settings.append(Setting("cni_default_network", name, origin["cni_default_network"]))
    return Runtime(
        name="cri-o",
        evidence=evidence,
        conf_dir=conf_dir,
        bin_dirs=bin_dirs or (BIN_DIR,),
        rule="named" if name else "first-that-loads",
        network=name,
        settings=tuple(settings),
    )
