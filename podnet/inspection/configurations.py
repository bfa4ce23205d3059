"""The configuration folder: which files count, which of them load, and which one a runtime takes.

libcni (`ConfFiles`, `NetworkConfFromBytes`) considers the regular files that end in .conf, .conflist or .json; the
runtimes sort them by path, byte by byte.  From there they differ:

* containerd (go-cni) loads the first `max_conf_num` files (1; 0 means all) and fails as a whole when one of them does
  not load: a broken 00-x.conf hides a sound 10-y.conflist.
* cri-o (ocicni) and the kubelet before 1.24 pass over a file that does not load, and over one whose plugins are not all
  there (cri-o); the first left wins, or the one that cni_default_network names.
"""

import re
from collections.abc import Callable, Iterable

from podnet.inspection.documents import Document, json_object, text
from podnet.inspection.values import Choice, Configuration, Folder, Rule, Source, View

EXTENSIONS = (".conf", ".conflist", ".json")
# libcni pkg/utils: what a network's name may be; checked when a pod is added.
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*\Z")


def folder(view: View, path: str) -> Folder:
    """Return the folder at `path` with every file judged, in the order in which libcni's users sort them."""
    listing = view.names(path)
    counted = [name for name in listing.names if name[name.rfind(".") :] in EXTENSIONS and "." in name]
    paths = sorted((f"{path.rstrip('/')}/{name}" for name in counted), key=lambda p: p.encode(errors="surrogateescape"))
    return Folder(
        path=path,
        configurations=tuple(judge(view.read(p)) for p in paths),
        ignored=tuple(name for name in listing.names if name not in counted),
        fault=listing.fault,
        missing=listing.missing,
    )


def judge(source: Source) -> Configuration:
    """Return what the file at `source` configures, or why libcni would not load it."""
    document, fault = json_object(source)
    if fault:
        return Configuration(path=source.path, fault=fault)
    name, version = text(document, "name"), text(document, "cniVersion")
    if source.path.endswith(".conflist"):
        plugins, fault = _list_plugins(document)
    else:
        plugins, fault = [document], ""
        if not text(document, "type"):
            fault = "no `type`" + ("; it has `plugins`: rename it to .conflist" if "plugins" in document else "")
    if not fault and not name:
        fault = "no `name`"
    if not fault and not _NAME.match(name):
        fault = f"`name` {name!r} has characters other than letters, digits, `_`, `.` and `-`"
    return Configuration(
        path=source.path,
        name=name,
        cni_version=version,
        plugins=() if fault else tuple(text(plugin, "type") for plugin in plugins),
        delegates=() if fault else tuple(dict.fromkeys(_delegates(plugins))),
        fault=fault,
    )


def choose(found: Folder, rule: Rule, network: str, complete: Callable[[Configuration], bool], most: int = 1) -> Choice:
    """Return which configuration of `found` a runtime with `rule` uses and why; `complete` tells if its plugins exist.

    `complete` is asked by the rules of cri-o only; `most` is containerd's max_conf_num.
    """
    fault = f"{found.path} does not exist" if found.missing else f"{found.path}: {found.fault}" if found.fault else ""
    if not fault and not found.configurations:
        fault = f"{found.path} has no file that ends in {', '.join(EXTENSIONS)}"
    if fault:
        return Choice("", fault)
    if rule == "first-must-load":
        return _first(found, most)
    whole = [c for c in found.configurations if not c.fault and complete(c)]
    if rule == "named":
        return _named(found, whole, network)
    if not whole:
        return Choice("", "no file loads with all its plugins in place")
    skipped = [_base(c) for c in found.configurations[: found.configurations.index(whole[0])]]
    note = f", after passing over {', '.join(skipped)}" if skipped else ""
    return Choice(whole[0].path, f"first in lexical order of {_count(found)} that can be used{note}")


def _first(found: Folder, most: int) -> Choice:
    loaded = found.configurations[: most if most > 0 else None]
    broken = next((c for c in loaded if c.fault), None)
    if broken is not None:
        which = "the first file" if broken is loaded[0] else "a file that must load"
        return Choice("", f"{which} in lexical order, {broken.path}, does not load: {broken.fault}")
    return Choice(loaded[0].path, f"first in lexical order of {_count(found)}")


def _named(found: Folder, whole: list[Configuration], network: str) -> Choice:
    match = next((c for c in whole if c.name == network), None)
    if match is None:
        named = any(c.name == network for c in found.configurations)
        why = "its plugins are not all in place" if named else "no file that loads has it"
        return Choice("", f"the configured network name is {network!r}: {why}")
    return Choice(match.path, f"first whose name is the configured {network!r}")


def _base(configuration: Configuration) -> str:
    return configuration.path.rsplit("/", 1)[1]


def _count(found: Folder) -> str:
    number = len(found.configurations)
    return f"{number} file" if number == 1 else f"{number} files"


def _list_plugins(document: Document) -> tuple[list[Document], str]:
    plugins = document.get("plugins")
    if plugins is None:
        return [], "no `plugins`" + ("; it has `type`: rename it to .conf" if "type" in document else "")
    if not isinstance(plugins, list):
        return [], "`plugins` is not a list"
    if not plugins:
        return [], "`plugins` is empty"
    for index, plugin in enumerate(plugins):
        if not isinstance(plugin, dict) or not text(plugin, "type"):
            return [], f"plugins[{index}] has no `type`"
    return plugins, ""


def _delegates(plugins: Iterable[Document]) -> Iterable[str]:
    """Yield the programs that plugins of `plugins` execute themselves: ipam.type and delegate.type."""
    for plugin in plugins:
        for key in ("ipam", "delegate"):
            below = plugin.get(key)
            if isinstance(below, dict) and text(below, "type"):
                yield text(below, "type")
