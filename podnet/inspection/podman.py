"""podman: the chain of containers.conf files (containers.conf(5)), for root.

podman reads CNI configurations only when its network backend is `cni`; since 4.0 new machines get `netavark`, which
reads its own folder, and 5.0 builds leave CNI out by default.  An unset backend is remembered in the storage folder.
"""

from podnet.inspection.documents import Document, merged, table, text, texts, toml
from podnet.inspection.values import CONF_DIR, Finding, Runtime, Setting, View

FILES = ("/usr/share/containers/containers.conf", "/etc/containers/containers.conf")
PROGRAMS = ("/usr/bin/podman", "/usr/local/bin/podman")
REMEMBERED = "/var/lib/containers/storage/defaultNetworkBackend"
PLUGIN_DIRS = (
    "/usr/local/libexec/cni",
    "/usr/libexec/cni",
    "/usr/local/lib/cni",
    "/usr/lib/cni",
    "/opt/cni/bin",
)
_NETAVARK_DIR = "/etc/containers/networks"


def judge(view: View) -> tuple[Runtime, list[Finding]]:
    """Return what podman on this machine uses for CNI, and what is wrong with its configuration."""
    findings: list[Finding] = []
    evidence = [path for path in PROGRAMS if not view.executable(path).missing]
    network: Document = {}
    origin: dict[str, str] = {}
    for path in _chain(view):
        source = view.read(path)
        if source.missing:
            continue
        read, fault = toml(source)
        if fault:
            findings.append(Finding("error", path, fault, "podman does not start with it: mend the file"))
            continue
        part = table(read, "network")
        network = merged(network, part)
        origin |= dict.fromkeys(part, path)
    backend, source_of_backend = text(network, "network_backend"), origin.get("network_backend", "default")
    if not backend:
        remembered = view.read(REMEMBERED)
        backend = (remembered.data or b"").decode(errors="replace").strip()
        source_of_backend = REMEMBERED if backend else "default"
    backend = backend or "netavark"
    if not evidence:
        return Runtime(name="podman"), []
    return _runtime(network, origin, (backend, source_of_backend), tuple(evidence), findings), findings


def _chain(view: View) -> list[str]:
    paths = []
    for path in FILES:
        paths.append(path)
        for folder in (f"{path}.d", f"{path.removesuffix('.conf')}.rootful.conf.d"):
            paths += [f"{folder}/{name}" for name in view.names(folder).names if name.endswith(".conf")]
    return paths


def _runtime(
    network: Document,
    origin: dict[str, str],
    backend: tuple[str, str],
    evidence: tuple[str, ...],
    findings: list[Finding],
) -> Runtime:
    cni = backend[0] == "cni"
    default = CONF_DIR if cni else _NETAVARK_DIR
    conf_dir = text(network, "network_config_dir") or default
    bin_dirs = texts(network, "cni_plugin_dirs") or PLUGIN_DIRS
    settings = [
        Setting("network_backend", *backend),
        Setting("network_config_dir", conf_dir, origin.get("network_config_dir", "default")),
    ]
    name = text(network, "default_network") or "podman"
    if cni:
        settings.append(Setting("cni_plugin_dirs", " ".join(bin_dirs), origin.get("cni_plugin_dirs", "default")))
        settings.append(Setting("default_network", name, origin.get("default_network", "default")))
    else:
        what = f"podman's network backend is {backend[0]}: it reads no CNI configuration"
        remedy = 'for podman pods on podnet set network_backend = "cni" in [network] (a build of podman with CNI)'
        findings.append(Finding("info", backend[1], what, remedy))
    return Runtime(
        name="podman",
        evidence=evidence,
        conf_dir=conf_dir if cni else "",
        bin_dirs=bin_dirs if cni else (),
        rule="named" if cni else "none",
        network=name if cni else "",
        settings=tuple(settings),
    )
