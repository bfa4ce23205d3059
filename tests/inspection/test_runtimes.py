"""What containerd, cri-o and podman are configured to use, for each version's layout and each fault."""

from collections.abc import Callable
from pathlib import Path

import pytest

from podnet.inspection import Runtime

V1 = """[plugins.cri.cni]
bin_dir = "/v1/bin"
conf_dir = "/v1/net.d"
"""
V2 = """version = 2
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/v2/bin"
conf_dir = "/v2/net.d"
max_conf_num = 1
"""
V3 = """version = 3
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/v3/bin", "/opt/cni/bin"]
conf_dir = "/v3/net.d"
"""

Put = Callable[..., Path]
Told = Callable[[], str]
Runtimes = Callable[[str], Runtime]


def settings(runtime: Runtime) -> dict[str, tuple[str, str]]:
    """Return a runtime's settings: value and source by name."""
    return {s.name: (s.value, s.source) for s in runtime.settings}


@pytest.mark.parametrize(
    ("config", "conf_dir", "bin_dirs"),
    [
        (V1, "/v1/net.d", ("/v1/bin",)),
        (V2, "/v2/net.d", ("/v2/bin",)),
        (V3, "/v3/net.d", ("/v3/bin", "/opt/cni/bin")),
        ("", "/etc/cni/net.d", ("/opt/cni/bin",)),
        ('version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n', "/etc/cni/net.d", ("/opt/cni/bin",)),
    ],
)
def test_containerd_layouts(put: Put, runtime: Runtimes, config: str, conf_dir: str, bin_dirs: tuple[str, ...]) -> None:
    """Every version's place of the `cni` table is found, and what is not given is containerd's default."""
    put("/etc/containerd/config.toml", config)
    found = runtime("containerd")
    assert (found.conf_dir, found.bin_dirs) == (conf_dir, bin_dirs)
    given = settings(found)["conf_dir"][1]
    assert given == ("/etc/containerd/config.toml" if "conf_dir" in config else "default")


def test_containerd_imports_override_in_order(put: Put, runtime: Runtimes, told: Told) -> None:
    """Imports are relative to their file, may have a star, may import, and a cycle ends."""
    put("/etc/containerd/config.toml", 'imports = ["conf.d/*.toml", "/etc/containerd/more.toml"]\n' + V2)
    put("/etc/containerd/conf.d/20-b.toml", V2.replace("/v2/net.d", "/later/net.d"))
    put("/etc/containerd/conf.d/10-a.toml", 'imports = ["/etc/containerd/config.toml"]\n' + V2.replace("v2", "early"))
    put("/etc/containerd/more.toml", 'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\nmax_conf_num = 0\n')
    found = runtime("containerd")
    assert (found.conf_dir, found.bin_dirs) == ("/later/net.d", ("/v2/bin",))
    assert "max_conf_num = 0: every file" in told()


def test_containerd_flags_name_its_file(put: Put, runtime: Runtimes) -> None:
    """`--config` of the running process wins over the unit, which wins over the usual place."""
    put("/etc/containerd/config.toml", V1)
    put("/etc/unit.toml", V2)
    put("/etc/process.toml", V3)
    put(
        "/usr/lib/systemd/system/containerd.service",
        "[Service]\nExecStart=/usr/bin/containerd --config /etc/unit.toml\n",
    )
    assert runtime("containerd").conf_dir == "/v2/net.d"
    put("/proc/41/cmdline", b"/usr/bin/containerd\0-c\0/etc/process.toml\0")
    assert runtime("containerd").conf_dir == "/v3/net.d"
    assert "process 41" in runtime("containerd").evidence


@pytest.mark.parametrize(
    ("config", "finding"),
    [
        ('disabled_plugins = ["cri"]', "error /etc/containerd/config.toml: the CRI plugin is disabled"),
        ('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]', "the CRI plugin is disabled"),
        (V3 + 'bin_dir = "/x"', "bin_dir and bin_dirs are both set"),
        (V2.replace("version = 2", "version = 3"), 'plugins."io.containerd.grpc.v1.cri".cni is not read in a file of'),
        (V2 + 'conf_template = "/etc/t"', "conf_template /etc/t"),
        (V2.replace("max_conf_num = 1", 'max_conf_num = "1"'), "max_conf_num is not a number"),
        (V2.replace("max_conf_num = 1", "max_conf_num = 2"), "the first 2 files"),
        ("version = ", "error /etc/containerd/config.toml: not TOML"),
        ('imports = ["gone.toml"]', "error /etc/containerd/gone.toml: no such file or directory"),
        ("plugins = 7", ""),
        ("[plugins]\ncri = []", ""),
    ],
)
def test_containerd_faults(put: Put, told: Told, config: str, finding: str) -> None:
    """Each fault of containerd's configuration is a finding of its own."""
    put("/etc/containerd/config.toml", config)
    assert finding in told()


def test_containerd_drop_ins_that_nobody_imports(put: Put, told: Told) -> None:
    """Files in conf.d that the configuration does not import are pointed out."""
    put("/etc/containerd/config.toml", V2)
    put("/etc/containerd/conf.d/cni.toml", V2)
    assert "conf.d has cni.toml, which no `imports`" in told()


def test_other_folders_than_podnets_are_told_with_the_remedy(installed: Put, told: Told) -> None:
    """A runtime that reads elsewhere than podnet installs is a warning that says what to configure."""
    installed("/etc/containerd/config.toml", V2)
    text = told()
    assert "containerd reads /v2/net.d, podnet writes its configuration to /etc/cni/net.d" in text
    assert "containerd looks for plugins in /v2/bin, podnet installs its own to /opt/cni/bin" in text
    assert "give containerd conf_dir /etc/cni/net.d" in text
    assert "ln -s /opt/cni/bin/podnet /v2/bin" in text


def test_a_trailing_slash_is_no_difference(installed: Put, runtime: Runtimes, told: Told) -> None:
    """cri-o's own defaults have one."""
    installed(
        "/etc/crio/crio.conf", '[crio.network]\nnetwork_dir = "/etc/cni/net.d/"\nplugin_dirs = ["/opt/cni/bin/"]\n'
    )
    assert runtime("cri-o").choice.path == "/etc/cni/net.d/10-podnet.conflist"
    assert not told()


def test_crio_drop_ins_and_flags(put: Put, runtime: Runtimes) -> None:
    """crio.conf, then drop-ins by name, then flags; each setting says where it comes from."""
    put("/etc/crio/crio.conf", '[crio.network]\nnetwork_dir = "/main"\nplugin_dirs = ["/a", "/b"]\nplugin_dir = "/c"\n')
    put("/etc/crio/crio.conf.d/10-x.conf", '[crio.network]\nnetwork_dir = "/drop"\n')
    found = runtime("cri-o")
    assert (found.conf_dir, found.bin_dirs) == ("/drop", ("/a", "/b", "/c"))
    assert settings(found)["network_dir"] == ("/drop", "/etc/crio/crio.conf.d/10-x.conf")
    put(
        "/proc/7/cmdline",
        b"/usr/bin/crio\0--cni-config-dir=/flag\0--cni-default-network\0mine\0--cni-plugin-dir\0/p,/q\0",
    )
    found = runtime("cri-o")
    assert (found.conf_dir, found.bin_dirs, found.network, found.rule) == ("/flag", ("/p", "/q", "/c"), "mine", "named")


def test_crio_faults(put: Put, told: Told, runtime: Runtimes) -> None:
    """A malformed drop-in is an error of its own; the rest is still read."""
    put("/etc/crio/crio.conf", '[crio.network]\nnetwork_dir = "/main"\ncni_default_network = "x"\n')
    put("/etc/crio/crio.conf.d/bad.conf", "[crio.network")
    assert "error /etc/crio/crio.conf.d/bad.conf: not TOML" in told()
    assert runtime("cri-o").conf_dir == "/main"


def test_podman_without_cni(put: Put, runtime: Runtimes, told: Told) -> None:
    """netavark, podman's default, reads no CNI configuration, and that is said."""
    put("/usr/bin/podman")
    assert runtime("podman").rule == "none"
    assert settings(runtime("podman"))["network_backend"] == ("netavark", "default")
    assert "it reads no CNI configuration" in told()


def test_podman_chain_of_files(put: Put, runtime: Runtimes) -> None:
    """/usr/share, then /etc, each with drop-ins; the network named in them is the one chosen."""
    put("/usr/bin/podman")
    put("/usr/share/containers/containers.conf", '[network]\nnetwork_backend = "cni"\nnetwork_config_dir = "/share"\n')
    put("/etc/containers/containers.conf", '[network]\ncni_plugin_dirs = ["/p"]\n')
    put("/etc/containers/containers.conf.d/9.conf", '[network]\nnetwork_config_dir = "/drop"\ndefault_network = "n"\n')
    found = runtime("podman")
    assert (found.conf_dir, found.bin_dirs, found.network) == ("/drop", ("/p",), "n")
    assert settings(found)["network_backend"] == ("cni", "/usr/share/containers/containers.conf")


def test_podman_remembers_its_backend(put: Put, runtime: Runtimes, told: Told) -> None:
    """An unset backend is the one that podman wrote into its storage folder; a malformed file is an error."""
    put("/usr/bin/podman")
    put("/var/lib/containers/storage/defaultNetworkBackend", "cni\n")
    put("/etc/containers/containers.conf", "[network")
    found = runtime("podman")
    assert found.conf_dir == "/etc/cni/net.d"
    assert "/usr/lib/cni" in found.bin_dirs
    assert "error /etc/containers/containers.conf: not TOML" in told()
