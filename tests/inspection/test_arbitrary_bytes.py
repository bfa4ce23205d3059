"""Whatever the bytes of any file are, the inspection gives a report."""

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.inspection import Report, inspect
from podnet.inspection.executables import interpreter, machine
from podnet.inspection.values import Executable, Listing, Process, Source

FILES = (
    "/etc/cni/net.d/10-x.conflist",
    "/etc/cni/net.d/20-x.conf",
    "/etc/containerd/config.toml",
    "/etc/containerd/conf.d/a.toml",
    "/etc/crio/crio.conf",
    "/etc/crio/crio.conf.d/a.conf",
    "/etc/containers/containers.conf",
    "/var/lib/containers/storage/defaultNetworkBackend",
    "/var/lib/kubelet/kubeadm-flags.env",
    "/var/lib/kubelet/config.yaml",
    "/etc/systemd/system/kubelet.service",
    "/etc/systemd/system/containerd.service.d/a.conf",
    "/opt/cni/bin/podnet",
    "/usr/bin/podman",
)


class Bytes:
    """A root in memory in which some files have given bytes."""

    machine = "x86_64"

    def __init__(self, files: dict[str, bytes], argv: tuple[str, ...]) -> None:
        """Hold `files` by path and one process."""
        self.files = files
        self.argv = argv

    def read(self, path: str) -> Source:
        """Return the file, or that it is missing."""
        data = self.files.get(path)
        return Source(path, data, "" if data is not None else "no such file or directory", data is None)

    def names(self, folder: str) -> Listing:
        """Return the names directly below `folder`."""
        names = [p.rsplit("/", 1)[1] for p in self.files if p.rsplit("/", 1)[0] == folder]
        return Listing(folder, tuple(sorted(names)), missing=not names)

    def executable(self, path: str) -> Executable:
        """Return the file as an executable."""
        data = self.files.get(path)
        return Executable(path, 0o755, data or b"", missing=data is None)

    def processes(self) -> tuple[Process, ...]:
        """Return the one process."""
        return (Process(1, self.argv),) if self.argv else ()


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
KEYS = ("name", "type", "plugins", "ipam", "delegate", "cniVersion", "cni", "version", "imports")
keys = st.sampled_from(KEYS) | st.text(max_size=3)
documents = st.recursive(scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=4))
structured = documents.map(lambda document: json.dumps(document).encode())
toml_lines = st.lists(
    st.sampled_from(
        [
            "version = 2",
            'imports = ["/etc/containerd/conf.d/*.toml", "config.toml", ""]',
            "imports = [7]",
            "disabled_plugins = [[]]",
            "plugins = 1",
            "crio = []",
            "[plugins.cri.cni]",
            '[plugins."io.containerd.cri.v1.runtime".cni]',
            "bin_dirs = {a = 1}",
            "max_conf_num = inf",
            "max_conf_num = 1979-05-27",
            "[crio.network]",
            "network_dir = 7",
            'plugin_dirs = ["", "/x"]',
            "[network]",
            'network_backend = "cni"',
            "network_backend = false",
            'default_network = "a"',
        ]
    ),
    max_size=8,
).map(lambda lines: "\n".join(lines).encode())
contents = st.binary(max_size=200) | structured | toml_lines
WORDS = ("kubelet", "containerd", "crio", "--config", "-c", "=", "--network-plugin=cni", "--cni-bin-dir")
words = st.sampled_from(WORDS)


def well_formed(report: Report) -> None:
    """Check what every report has: it can be printed as JSON, and each finding says where and what."""
    assert msgspec.json.encode(report)
    for finding in report.findings:
        assert finding.place
        assert finding.what
    for runtime in report.runtimes:
        assert runtime.rule == "none" or bool(runtime.choice.path) or runtime.choice.why


@given(
    st.dictionaries(st.sampled_from(FILES), contents, max_size=len(FILES)),
    st.lists(words | st.text(max_size=5), max_size=4).map(tuple),
)
def test_any_bytes_in_any_file_give_a_report(files: dict[str, bytes], argv: tuple[str, ...]) -> None:
    """No content of any file that is read, and no argument vector, raises."""
    well_formed(inspect(Bytes(files, argv)))


@pytest.mark.parametrize("path", FILES)
@given(data=contents)
def test_each_file_alone(path: str, data: bytes) -> None:
    """The same for each file by itself, so that none hides behind another."""
    well_formed(inspect(Bytes({path: data}, ())))


@pytest.mark.parametrize("decode", [machine, interpreter])
@given(head=st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"\x7fELF\x02\x01" + tail))
def test_any_head_of_a_program_is_told_or_not(decode: Callable[[bytes], str], head: bytes) -> None:
    """The ELF header's decoder gives text for any bytes."""
    assert isinstance(decode(head), str)
