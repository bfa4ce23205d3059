"""kubelet: flags of the running process, of its unit and environment files, and its KubeletConfiguration.

Until 1.23 the kubelet itself could run CNI plugins (dockershim: ``--network-plugin=cni``, ``--cni-conf-dir``,
``--cni-bin-dir``, ``--cni-cache-dir``).  1.24 removed dockershim and these flags: a kubelet that is given one does
not start, and CNI is the container runtime's business.
"""

from podnet.inspection.documents import text, yaml_mapping
from podnet.inspection.flags import of_text, of_words, programs, unit_files
from podnet.inspection.values import BIN_DIR, CONF_DIR, Finding, Runtime, Setting, View

PROGRAMS = ("/usr/bin/kubelet", "/usr/local/bin/kubelet")
ENVIRONMENTS = ("/var/lib/kubelet/kubeadm-flags.env", "/etc/default/kubelet", "/etc/sysconfig/kubelet")
CONFIG = "/var/lib/kubelet/config.yaml"
REMOVED = ("network-plugin", "cni-conf-dir", "cni-bin-dir", "cni-cache-dir", "network-plugin-mtu")
_REMOTE = ("container-runtime-endpoint", "container-runtime")


def judge(view: View) -> tuple[Runtime, list[Finding]]:
    """Return what the kubelet on this machine is told about CNI and its container runtime."""
    running = programs(view, "kubelet")
    evidence = [f"process {process.pid}" for process in running]
    evidence += [path for path in PROGRAMS if not view.executable(path).missing]
    files = [*unit_files(view, "kubelet.service"), *(view.read(path) for path in ENVIRONMENTS)]
    files = [source for source in files if not source.missing]
    evidence += [source.path for source in files]
    findings = [Finding("error", s.path, s.fault, "make it readable") for s in files if s.fault]
    flags = [setting for source in files for setting in of_text(source)]
    if running:  # what runs is what counts; the files tell what the next start will do
        current = [s for process in running for s in of_words(process.argv[1:], f"process {process.pid}")]
    else:
        current = flags
    config = next((s.value for s in reversed(current) if s.name == "config"), CONFIG)
    settings = {s.name: s for s in current if s.name in (*REMOVED, *_REMOTE)}
    source = view.read(config)
    if not source.missing:
        evidence.append(config)
        document, fault = yaml_mapping(source)
        if fault:
            findings.append(Finding("error", config, fault, "the kubelet does not start with it: mend the file"))
        endpoint = text(document, "containerRuntimeEndpoint")
        if endpoint and "container-runtime-endpoint" not in settings:
            settings["container-runtime-endpoint"] = Setting("containerRuntimeEndpoint", endpoint, config)
    for setting in dict.fromkeys((*current, *flags)):
        if setting.name in REMOVED:
            what = f"--{setting.name}={setting.value}: kubelet 1.24 and later know no such flag and do not start"
            remedy = "remove it; the container runtime's own configuration names the CNI folders since then"
            findings.append(Finding("warning", setting.source, what, remedy))
    return _runtime(settings, tuple(evidence)), findings if evidence else []


def _runtime(settings: dict[str, Setting], evidence: tuple[str, ...]) -> Runtime:
    shown = tuple(settings[name] for name in sorted(settings))
    plugin = settings.get("network-plugin")
    if plugin is None or plugin.value != "cni":
        return Runtime(name="kubelet", evidence=evidence, settings=shown)
    conf_dir, bin_dir = settings.get("cni-conf-dir"), settings.get("cni-bin-dir")
    return Runtime(
        name="kubelet",
        evidence=evidence,
        conf_dir=conf_dir.value if conf_dir else CONF_DIR,
        bin_dirs=tuple(bin_dir.value.split(",")) if bin_dir else (BIN_DIR,),
        rule="first-that-loads",
        settings=shown,
    )
