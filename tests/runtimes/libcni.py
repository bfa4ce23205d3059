"""What libcni does for a runtime (containernetworking/cni, libcni/api.go), so that podnet is driven as runtimes do it.

A list's plugins are executed in order for ADD and CHECK and backwards for DEL; each gets the list's name and version,
the result so far, and of the runtime's arguments those for which it declares a capability.  Results are kept in files
beside what they were asked with: DEL and CHECK hand them back, GC finds in them what is nobody's any more.
"""

import base64
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from podnet.testing.node import Node
from podnet.testing.waiting import PATIENCE

KIND = "cniCacheV1"
PATH = ("/opt/cni/bin", "/usr/lib/cni")
IMPLEMENTED = (1, 1, 0)

Document = dict[str, Any]


class PluginError(Exception):
    """A plugin's error, as it told it."""

    def __init__(self, plugin: str, verb: str, told: Document) -> None:
        super().__init__(f"{plugin} failed ({verb}): {told}")
        self.plugin = plugin
        self.code = told.get("code")
        self.told = told


class Attachment(NamedTuple):
    """libcni's RuntimeConf; `arguments` are by capability."""

    container: str
    netns: str = ""
    ifname: str = "eth0"
    args: tuple[tuple[str, str], ...] = ()
    arguments: Mapping[str, Any] = {}


def ordinal(version: str) -> tuple[int, ...]:
    """Return a version to compare by."""
    return tuple(int(part) for part in version.split("."))


class Runtime:
    """A runtime on a node with the network of a list, and a folder of its own for results."""

    def __init__(self, node: Node, conflist: Document, cache: Path, path: Iterable[str] = PATH) -> None:
        """Take a list as a file has it; of its `cniVersions` the highest that libcni knows is spoken."""
        self._node = node
        self._path = tuple(path)
        self._results = cache / "results"
        self._file = conflist
        self.name: str = conflist["name"]
        self.plugins: list[Document] = conflist["plugins"]
        stated = [conflist["cniVersion"]] if "cniVersion" in conflist else []
        known = [v for v in (*conflist.get("cniVersions", ()), *stated) if ordinal(v) <= IMPLEMENTED]
        self.version = max(known, key=ordinal)

    # Operations of the list

    def add(self, attachment: Attachment) -> Document:
        """AddNetworkList: return the last plugin's result, and keep it."""
        result: Document | None = None
        for plugin in self.plugins:
            told = self._execute("ADD", self._configuration(plugin, result, attachment), attachment)
            result = {"cniVersion": self.version, **told}
        assert result is not None
        self._keep(attachment, result)
        return result

    def check(self, attachment: Attachment) -> bool:
        """CheckNetworkList: tell whether version and list have CHECK; raise for a difference."""
        if ordinal(self.version) < (0, 4, 0) or self._file.get("disableCheck"):
            return False
        result = self.kept(attachment)
        for plugin in self.plugins:
            self._execute("CHECK", self._configuration(plugin, result, attachment), attachment)
        return True

    def delete(self, attachment: Attachment) -> None:
        """DelNetworkList: the plugins backwards, and the first error ends it; the result is forgotten at the end."""
        result = self.kept(attachment) if ordinal(self.version) >= (0, 4, 0) else None
        for plugin in reversed(self.plugins):
            self._execute("DEL", self._configuration(plugin, result, attachment), attachment)
        self._file_of(attachment).unlink(missing_ok=True)

    def gc(self, valid: Iterable[Attachment]) -> None:
        """GCNetworkList: DEL of what is kept and not `valid`, then GC of each plugin where the version has it."""
        if self._file.get("disableGC"):
            return
        named = [{"containerID": attachment.container, "ifname": attachment.ifname} for attachment in valid]
        errors: list[PluginError] = []
        for attachment in self.attachments():
            if {"containerID": attachment.container, "ifname": attachment.ifname} not in named:
                try:
                    self.delete(attachment)
                except PluginError as error:
                    errors.append(error)
        if ordinal(self.version) >= (1, 1, 0):
            # Both names: SPEC.md had the second by mistake (containernetworking/cni#1101).
            valid_too = {"cni.dev/valid-attachments": named, "cni.dev/attachments": named}
            for plugin in self.plugins:
                try:
                    self._execute("GC", {**self._configuration(plugin), **valid_too}, Attachment("", ifname=""))
                except PluginError as error:
                    errors.append(error)
        if errors:
            raise ExceptionGroup("GC", errors)

    def status(self) -> bool:
        """GetStatusNetworkList: tell whether the list's version has STATUS; raise the first plugin's error."""
        if ordinal(self.version) < (1, 1, 0):
            return False
        for plugin in self.plugins:
            self._execute("STATUS", self._configuration(plugin), Attachment("", ifname=""))
        return True

    def validate(self) -> set[str]:
        """ValidateNetworkList: ask each plugin for its versions; return the capabilities of all."""
        for plugin in self.plugins:
            told = self._execute(
                "VERSION", {"cniVersion": "1.1.0", "type": plugin["type"]}, Attachment("", "dummy", "dummy")
            )
            assert self.version in told["supportedVersions"], plugin["type"]
        return {name for plugin in self.plugins for name, on in plugin.get("capabilities", {}).items() if on}

    # Results

    def kept(self, attachment: Attachment) -> Document | None:
        """Return the result that is kept of an attachment."""
        try:
            kept: Document = json.loads(self._file_of(attachment).read_text())
        except FileNotFoundError:
            return None
        result: Document = kept["result"]
        return result

    def attachments(self) -> list[Attachment]:
        """Return what is kept of this network, as it was asked for."""
        found = []
        for file in sorted(self._results.glob("*")):
            kept = json.loads(file.read_text())
            if kept["kind"] == KIND and kept["networkName"] == self.name:
                args = tuple((key, value) for key, value in kept["cniArgs"])
                found.append(
                    Attachment(kept["containerId"], kept["netns"], kept["ifName"], args, kept["capabilityArgs"])
                )
        return found

    def _file_of(self, attachment: Attachment) -> Path:
        return self._results / f"{self.name}-{attachment.container}-{attachment.ifname}"

    def _keep(self, attachment: Attachment, result: Document) -> None:
        self._results.mkdir(parents=True, exist_ok=True)
        document = {
            "kind": KIND,
            "containerId": attachment.container,
            "config": base64.b64encode(json.dumps(self._file).encode()).decode(),
            "ifName": attachment.ifname,
            "networkName": self.name,
            "netns": attachment.netns,
            "cniArgs": attachment.args,
            "capabilityArgs": attachment.arguments,
            "result": result,
        }
        self._file_of(attachment).write_text(json.dumps(document))

    # Executions

    def _configuration(
        self, plugin: Document, result: Document | None = None, attachment: Attachment | None = None
    ) -> Document:
        """Return what a plugin is given on standard input (buildOneConfig and injectRuntimeConfig)."""
        configuration = {**plugin, "name": self.name, "cniVersion": self.version}
        if result is not None:
            configuration["prevResult"] = result
        declared = [name for name, on in plugin.get("capabilities", {}).items() if on]
        given = attachment.arguments if attachment else {}
        runtime = {name: given[name] for name in declared if name in given}
        if runtime:
            configuration["runtimeConfig"] = runtime
        return configuration

    def _execute(self, verb: str, configuration: Document, attachment: Attachment) -> Document:
        """Execute a plugin; every variable is set, be it to nothing, as libcni sets them."""
        plugin = configuration["type"]
        variables = {
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": attachment.container,
            "CNI_NETNS": attachment.netns,
            "CNI_ARGS": ";".join(f"{key}={value}" for key, value in attachment.args),
            "CNI_IFNAME": attachment.ifname,
            "CNI_PATH": ":".join(self._path),
        }
        done = subprocess.run(
            self._node.enter(self._found(plugin)),
            input=json.dumps(configuration).encode(),
            env=variables,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
        if done.returncode:
            try:
                told = json.loads(done.stdout)
            except ValueError:
                told = {"msg": (done.stdout + done.stderr).decode(errors="replace")}
            raise PluginError(plugin, verb, told)
        answer: Document = json.loads(done.stdout) if done.stdout else {}
        return answer

    def _found(self, plugin: str) -> str:
        """Return the first file of that name in the runtime's path."""
        for folder in self._path:
            if (self._node.root / folder.lstrip("/") / plugin).exists():
                return f"{folder}/{plugin}"
        raise PluginError(plugin, "find", {"msg": f"failed to find plugin {plugin!r} in path {self._path}"})
