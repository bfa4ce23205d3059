"""containerd: config.toml of versions 1 to 4 and its imports.

The CRI plugin's `cni` table moved: `plugins.cri` (version 1), `plugins."io.containerd.grpc.v1.cri"` (2) and
`plugins."io.containerd.cri.v1.runtime"` (3 and later, with `bin_dirs` beside `bin_dir`).  Imports are read breadth
first, later ones over earlier ones, each once; names without a leading slash are relative to the importing file.
"""

from fnmatch import fnmatchcase
from posixpath import dirname, join, normpath

from podnet.inspection.documents import Document, merged, table, text, texts, toml
from podnet.inspection.flags import of_text, of_words, programs, unit_files
from podnet.inspection.values import BIN_DIR, CONF_DIR, Finding, Runtime, Setting, View

CONFIG = "/etc/containerd/config.toml"
PLUGINS = ("io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "cri")
PROGRAMS = ("/usr/bin/containerd", "/usr/local/bin/containerd", "/bin/containerd")
_SPLIT = 3  # the version of the file in which the CRI plugin became several
_DROP_INS = "/etc/containerd/conf.d"


def judge(view: View) -> tuple[Runtime, list[Finding]]:
    """Return what containerd on this machine uses for CNI, and what is wrong with its configuration."""
    findings: list[Finding] = []
    running = programs(view, "containerd")
    evidence = [f"process {process.pid}" for process in running]
    evidence += [path for path in PROGRAMS if not view.executable(path).missing]
    flags = [setting for source in unit_files(view, "containerd.service") for setting in of_text(source)]
    flags += [setting for process in running for setting in of_words(process.argv[1:], f"process {process.pid}")]
    config = next((s.value for s in reversed(flags) if s.name in {"config", "c"}), CONFIG)
    main = view.read(config)
    if not main.missing:
        evidence.append(config)
    document, origins = _load(view, config, findings)
    plugin, cni = _cni(document, origins, findings)
    settings = [_setting(document, origins, (), "version", "1 (not given)" if document else "")]
    conf_dir, bin_dirs = text(cni, "conf_dir") or CONF_DIR, texts(cni, "bin_dirs")
    if bin_dirs and text(cni, "bin_dir"):
        findings.append(
            Finding("error", origins[-1], "bin_dir and bin_dirs are both set: containerd refuses this", "keep bin_dirs")
        )
    bin_dirs = bin_dirs or (text(cni, "bin_dir") or BIN_DIR,)
    where = ("plugins", plugin, "cni")
    settings.append(_setting(document, origins, where, "conf_dir", conf_dir))
    settings.append(_setting(document, origins, where, "bin_dirs" if "bin_dirs" in cni else "bin_dir", *bin_dirs))
    most = cni.get("max_conf_num", 1)
    settings.append(_setting(document, origins, where, "max_conf_num", str(most)))
    findings += _remarks(view, document, origins, cni)
    runtime = Runtime(
        name="containerd",
        evidence=tuple(evidence),
        conf_dir=conf_dir,
        bin_dirs=bin_dirs,
        rule="first-must-load",
        most=most if isinstance(most, int) else 1,
        settings=tuple(s for s in settings if s.value),
    )
    return runtime, findings if evidence else []


def _load(view: View, config: str, findings: list[Finding]) -> tuple[Document, list[str]]:
    """Return the merged configuration and the paths it came from, in the order they were read."""
    document: Document = {}
    origins: list[str] = []
    pending, seen = [config], set()
    while pending:
        path = pending.pop(0)
        if path in seen:
            continue
        seen.add(path)
        source = view.read(path)
        if source.missing and path == config:
            continue
        read, fault = toml(source)
        if fault:
            remedy = "containerd does not start with it: mend the file, or write one by `containerd config default`"
            findings.append(Finding("error", path, fault, remedy))
            continue
        origins.append(path)
        document = merged(document, read)
        for pattern in texts(read, "imports"):
            pending += _expand(view, normpath(join(dirname(path), pattern)))
    return document, origins or [config]


def _expand(view: View, pattern: str) -> list[str]:
    if "*" not in pattern:
        return [pattern]
    folder, name = pattern.rsplit("/", 1)
    return [f"{folder}/{n}" for n in view.names(folder).names if fnmatchcase(n, name)]


def _cni(document: Document, origins: list[str], findings: list[Finding]) -> tuple[str, Document]:
    """Return the name of the CRI plugin's table that is given, newest first, and its `cni` table.

    Older names are migrated in files of older versions only; in newer ones they are unknown, and nothing says so.
    """
    plugins = table(document, "plugins")
    version = document.get("version")
    read = PLUGINS[:1] if isinstance(version, int) and version >= _SPLIT else PLUGINS
    for name in PLUGINS[len(read) :]:
        if table(plugins, name, "cni"):
            what = f'plugins."{name}".cni is not read in a file of version {version}'
            findings.append(Finding("warning", origins[-1], what, f'move it to plugins."{PLUGINS[0]}".cni'))
    name = next((name for name in read if table(plugins, name, "cni")), read[0])
    return name, table(plugins, name, "cni")


def _setting(document: Document, origins: list[str], where: tuple[str, ...], name: str, *value: str) -> Setting:
    given = table(document, *where).get(name) if where else document.get(name)
    shown = str(given) if isinstance(given, int) and not isinstance(given, bool) else " ".join(value)
    return Setting(name, shown, ", ".join(origins) if given is not None else "default")


def _remarks(view: View, document: Document, origins: list[str], cni: Document) -> list[Finding]:
    findings = []
    place = origins[-1]
    disabled = texts(document, "disabled_plugins")
    if any(name == "cri" or name.endswith((".cri", ".v1.cri")) for name in disabled):
        remedy = "take cri out of disabled_plugins and restart containerd, or kubelet cannot use it"
        findings.append(Finding("error", place, "the CRI plugin is disabled", remedy))
    if text(cni, "conf_template"):
        what = f"conf_template {text(cni, 'conf_template')}: containerd itself writes {cni.get('conf_dir', CONF_DIR)}"
        findings.append(Finding("warning", place, what, "remove conf_template: podnet writes the configuration"))
    most = cni.get("max_conf_num", 1)
    if not isinstance(most, int) or isinstance(most, bool):
        findings.append(Finding("error", place, "max_conf_num is not a number", "give 1"))
    elif most != 1:
        number = "every file" if most <= 0 else f"the first {most} files"
        what = f"max_conf_num = {most}: {number} of the folder become an interface of every pod"
        findings.append(Finding("warning", place, what, "give max_conf_num = 1 unless pods are meant to have several"))
    names = [n for n in view.names(_DROP_INS).names if n.endswith(".toml")]
    if names and not any(origin.startswith(_DROP_INS) for origin in origins):
        what = f"{_DROP_INS} has {', '.join(names)}, which no `imports` of {origins[0]} names"
        findings.append(Finding("info", _DROP_INS, what, f'add imports = ["{_DROP_INS}/*.toml"]'))
    return findings
