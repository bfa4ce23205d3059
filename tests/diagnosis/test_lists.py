"""Which list a runtime takes, and what it needs with it."""

import pytest

from podnet.diagnosis import lists
from podnet.diagnosis.lists import needed
from podnet.inspection import Plugin, Runtime
from podnet.inspection.values import Choice, Rule

NAME, FOLDERS = "10-podnet.conflist", ("/etc/cni/net.d", "/opt/cni/bin")
OURS = f"/etc/cni/net.d/{NAME}"


def runtime(path: str = OURS, rule: Rule = "first-must-load", conf_dir: str = "/etc/cni/net.d") -> Runtime:
    """Return containerd that has chosen `path`."""
    return Runtime(
        name="containerd", evidence=("process 7",), conf_dir=conf_dir, bin_dirs=("/opt/cni/bin",), rule=rule,
        choice=Choice(path, "because"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "installed", "remedy"),
    [
        (runtime(), {"/etc/cni/net.d"}, ""),
        (runtime(conf_dir="/etc/cni/net.d/"), {"/etc/cni/net.d"}, ""),
        (runtime(), set(), "systemctl start podnet,"),
        (runtime(conf_dir="/etc/other"), set(), "podnet install --cni-conf-dir /etc/other"),
        (runtime("/etc/cni/net.d/05-x.conf"), {"/etc/cni/net.d"}, "mv /etc/cni/net.d/05-x.conf "),
        (runtime("/etc/cni/net.d/05-x.conf", "named"), {"/etc/cni/net.d"}, "let containerd's configuration name"),
        (runtime(""), {"/etc/cni/net.d"}, "mend that file"),
    ],
)
def test_the_list_that_wins(given: Runtime, installed: set[str], remedy: str) -> None:
    """Podnet's, or what to do about it."""
    found = list(lists(NAME, FOLDERS, [given], installed, {}))
    assert len(found) == bool(remedy)
    assert all(finding.severity == "broken" and finding.remedy.startswith(remedy) for finding in found)


@pytest.mark.parametrize(
    ("plugin", "bin_dirs", "remedy"),
    [
        (Plugin("podnet", "plugin", "/opt/cni/bin/podnet"), ("/opt/cni/bin",), ""),
        (Plugin("podnet", "plugin", fault="missing", hint="h"), ("/opt/cni/bin/",), "systemctl restart podnet"),
        (
            Plugin("loopback", "plugin", fault="missing", hint="h"),
            ("/usr/lib/cni",),
            "podnet install --cni-bin-dir /usr/lib/cni",
        ),
        (Plugin("podnet", "plugin", "/p", "not executable", "chmod 755 /p"), ("/opt/cni/bin",), "chmod 755 /p"),
    ],
)
def test_programs_that_cannot_be_executed(plugin: Plugin, bin_dirs: tuple[str, ...], remedy: str) -> None:
    """One that is missing is installed to where the runtime looks; another fault has its own remedy."""
    given = Runtime(name="containerd", conf_dir="/etc/cni/net.d", bin_dirs=bin_dirs, choice=Choice(OURS, ""))
    found = list(lists(NAME, FOLDERS, [given], {"/etc/cni/net.d"}, {"containerd": [plugin]}))
    assert [finding.remedy for finding in found] == [remedy] * bool(remedy)


@pytest.mark.parametrize(
    ("name", "evidence", "severity"),
    [
        ("containerd", ("process 7", "/usr/bin/containerd"), "broken"),
        ("containerd", ("/usr/bin/containerd",), "note"),
        ("cri-o", ("/usr/bin/crio",), "note"),
        ("podman", ("/usr/bin/podman",), "broken"),
        ("(no runtime)", (), "broken"),
    ],
)
def test_a_runtime_that_does_not_run_makes_no_pods(name: str, evidence: tuple[str, ...], severity: str) -> None:
    """A daemon is seen to run; podman is none, and where no runtime is seen one is supposed to come."""
    given = Runtime(name=name, evidence=evidence, conf_dir="/etc/cni/net.d", bin_dirs=("/opt/cni/bin",))
    assert [finding.severity for finding in lists(NAME, FOLDERS, [given], set(), {})] == [severity]


def test_who_needs_a_loopback_plugin() -> None:
    """Runtimes of pods; others bring `lo` up themselves."""
    assert needed(runtime()) == ("podnet", "loopback")
    assert needed(Runtime(name="podman")) == ("podnet",)
