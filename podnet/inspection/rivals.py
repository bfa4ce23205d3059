"""Whose configuration runtimes would take instead of podnet's: asked before podnet's own is there."""

from typing import NamedTuple

from podnet.inspection.report import inspect
from podnet.inspection.values import BIN_DIR, CONF_DIR, Executable, Finding, Listing, Process, Runtime, Source, View


class _With(NamedTuple):
    """A view of a machine to which one file has been added."""

    view: View
    folder: str
    name: str
    content: bytes

    @property
    def machine(self) -> str:
        return self.view.machine

    def read(self, path: str) -> Source:
        return Source(path, self.content) if path == f"{self.folder}/{self.name}" else self.view.read(path)

    def names(self, folder: str) -> Listing:
        listing = self.view.names(folder)
        if folder.rstrip("/") != self.folder:
            return listing
        return Listing(folder, tuple(sorted({*listing.names, self.name})), listing.fault)

    def executable(self, path: str) -> Executable:
        return self.view.executable(path)

    def processes(self) -> tuple[Process, ...]:
        return self.view.processes()


def rivals(
    view: View, name: str, content: bytes, conf_dir: str = CONF_DIR, bin_dir: str = BIN_DIR
) -> tuple[Finding, ...]:
    """Return what each runtime that would not take the list `name` in `conf_dir` takes instead, why, and the remedy.

    The list is judged as if it were there with its `content`; a machine without a runtime as if it had containerd.
    """
    folder = conf_dir.rstrip("/")
    report = inspect(_With(view, folder, name, content), folder, bin_dir)
    ours = f"{folder}/{name}"
    readers = [runtime for runtime in report.runtimes if runtime.rule != "none" and runtime.choice.path != ours]
    return tuple(dict.fromkeys(_finding(runtime, folder, ours) for runtime in readers))


def _finding(runtime: Runtime, folder: str, ours: str) -> Finding:
    place = runtime.choice.path or runtime.conf_dir
    if runtime.conf_dir.rstrip("/") != folder:
        what = f"{runtime.name} reads {runtime.conf_dir}, not {folder}"
        return Finding("warning", place, what, f"install with --cni-conf-dir {runtime.conf_dir}")
    name = "a runtime" if not runtime.evidence else runtime.name
    if not runtime.choice.path:
        what = f"{name} takes none at all: {runtime.choice.why}"
        return Finding("warning", place, what, "mend that file, or move it out of the folder")
    if runtime.rule == "named":
        remedy = f"let the runtime's configuration name the network of {ours}, or no network"
    else:
        remedy = "move it out of the folder when its pods are gone"
    return Finding("warning", place, f"{name} takes it before {ours}: {runtime.choice.why}", remedy)
