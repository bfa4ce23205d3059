"""What the kubelet is told: by its process, its unit, its environment files and its own configuration."""

from collections.abc import Callable
from pathlib import Path

import pytest

from podnet.inspection import Runtime
from podnet.inspection.flags import of_text, of_words
from podnet.inspection.values import Setting, Source

Put = Callable[..., Path]
Told = Callable[[], str]
Runtimes = Callable[[str], Runtime]

UNIT = """[Service]
Environment="KUBELET_NETWORK_ARGS=--network-plugin=cni --cni-conf-dir=/etc/old/net.d" KUBELET_X=y
ExecStart=/usr/bin/kubelet $KUBELET_NETWORK_ARGS \\
  --cni-bin-dir /old/bin
"""


def test_the_flags_before_1_24(put: Put, runtime: Runtimes, told: Told) -> None:
    """The old flags are read, the folders are the kubelet's, and it is said that 1.24 removed them."""
    put("/etc/systemd/system/kubelet.service", UNIT)
    found = runtime("kubelet")
    assert (found.conf_dir, found.bin_dirs, found.rule) == ("/etc/old/net.d", ("/old/bin",), "first-that-loads")
    assert "--network-plugin=cni: kubelet 1.24 and later know no such flag" in told()
    assert "--cni-bin-dir=/old/bin" in told()


def test_dockershim_defaults(put: Put, runtime: Runtimes) -> None:
    """`--network-plugin=cni` alone means the usual folders."""
    put("/etc/default/kubelet", 'KUBELET_EXTRA_ARGS="--network-plugin=cni"\n')
    assert (runtime("kubelet").conf_dir, runtime("kubelet").bin_dirs) == ("/etc/cni/net.d", ("/opt/cni/bin",))


def test_kubeadm_environment(put: Put, runtime: Runtimes, told: Told) -> None:
    """Flags of kubeadm name the runtime's socket; a runtime that is not there is a warning."""
    put(
        "/var/lib/kubelet/kubeadm-flags.env",
        'KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///run/crio/crio.sock"\n',
    )
    (setting,) = runtime("kubelet").settings
    assert (setting.name, setting.value) == ("container-runtime-endpoint", "unix:///run/crio/crio.sock")
    assert "but no cri-o was found" in told()
    put("/usr/bin/crio")
    assert "but no cri-o was found" not in told()


def test_the_running_process_counts_before_its_files(put: Put, runtime: Runtimes, told: Told) -> None:
    """What runs is reported; files that would break the next start are still warned of."""
    put("/etc/default/kubelet", "KUBELET_EXTRA_ARGS=--network-plugin=cni\n")
    put("/proc/9/cmdline", b"/usr/bin/kubelet\0--container-runtime-endpoint\0unix:///run/containerd/containerd.sock\0")
    put("/proc/10/cmdline", b"")
    found = runtime("kubelet")
    assert [s.source for s in found.settings] == ["process 9"]
    assert found.rule == "none"
    assert "--network-plugin=cni" in told()


def test_drop_ins_replace_by_name_and_apply_in_order(put: Put, runtime: Runtimes) -> None:
    """A drop-in in /etc replaces the one of the same name in /usr/lib; names decide the order."""
    flag = "[Service]\nEnvironment=A=--container-runtime-endpoint=%s\n"
    put("/usr/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet $A\n")
    put("/usr/lib/systemd/system/kubelet.service.d/10-a.conf", flag % "vendor")
    assert runtime("kubelet").settings[0].value == "vendor"
    put("/etc/systemd/system/kubelet.service.d/10-a.conf", flag % "admin")
    assert runtime("kubelet").settings[0].value == "admin"
    put("/etc/systemd/system/kubelet.service.d/20-b.conf", flag % "later")
    assert runtime("kubelet").settings[0].value == "later"


def test_the_kubelets_own_configuration(put: Put, runtime: Runtimes, told: Told) -> None:
    """The endpoint in the file that `--config` names; a malformed file is an error."""
    put("/proc/9/cmdline", b"hyperkube\0kubelet\0--config=/etc/k.yaml\0")
    put("/etc/k.yaml", "kind: KubeletConfiguration\ncontainerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n")
    assert runtime("kubelet").settings == (
        Setting("containerRuntimeEndpoint", "unix:///run/containerd/containerd.sock", "/etc/k.yaml"),
    )
    put("/etc/k.yaml", "a: [")
    assert "error /etc/k.yaml: not YAML" in told()
    put("/etc/k.yaml", "- a")
    assert "not a YAML mapping" in told()


@pytest.mark.parametrize(
    ("words", "pairs"),
    [
        (
            ["--a=1", "--b", "2", "-c", "x", "--d", "--e"],
            [("a", "1"), ("b", "2"), ("c", "x"), ("d", "true"), ("e", "true")],
        ),
        (["run", "--a=b=c", "rest"], [("a", "b=c")]),
        (["-"], []),
    ],
)
def test_flags_of_words(words: list[str], pairs: list[tuple[str, str]]) -> None:
    """Both spellings of a value, flags without one, and words that are no flag."""
    assert [(s.name, s.value) for s in of_words(words, "x")] == pairs


def test_flags_of_text_survive_open_quotes() -> None:
    """A line whose quotes do not close still gives its flags; comments and sections give none."""
    text = b'# A=--no=1\n; B=--no=2\n[Service]\nA="--yes=1 --also 2\nExecStart=x --last=3\n'
    assert [(s.name, s.value) for s in of_text(Source("/x", text))] == [("yes", "1"), ("also", "2"), ("last", "3")]
