"""Which CNI configuration wins, and why."""

from collections.abc import Callable
from pathlib import Path

import pytest

from podnet.inspection import Configuration, Folder, Report
from podnet.inspection.configurations import choose, judge
from podnet.inspection.values import Choice, Rule, Source

BRIDGE = '{"cniVersion": "0.3.1", "name": "old", "type": "bridge", "ipam": {"type": "host-local"}}'
LIST = '{"cniVersion": "1.0.0", "name": "%s", "plugins": [{"type": "%s"}]}'


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.conf", BRIDGE, ""),
        ("a.json", BRIDGE, ""),
        ("a.conflist", LIST % ("net", "ptp"), ""),
        ("a.conflist", "", "empty"),
        ("a.conflist", " \n", "empty"),
        ("a.conflist", "{", "not JSON"),
        ("a.conflist", "[]", "not a JSON object but a list"),
        ("a.conflist", "null", "not a JSON object but null"),
        ("a.conflist", b"\xff\xfe{}", "not UTF-8 at byte 0"),
        ("a.conflist", "[" * 100_000, "not JSON"),
        ("a.conflist", BRIDGE, "rename it to .conf"),
        ("a.conf", LIST % ("net", "ptp"), "rename it to .conflist"),
        ("a.conflist", '{"name": "n", "plugins": {}}', "`plugins` is not a list"),
        ("a.conflist", '{"name": "n", "plugins": []}', "`plugins` is empty"),
        ("a.conflist", '{"name": "n", "plugins": [{"type": "ptp"}, {}]}', "plugins[1] has no `type`"),
        ("a.conflist", '{"name": "n", "plugins": [7]}', "plugins[0] has no `type`"),
        ("a.conflist", '{"plugins": [{"type": "ptp"}]}', "no `name`"),
        ("a.conflist", LIST % ("a/b", "ptp"), "`name` 'a/b'"),
    ],
)
def test_each_fault_of_a_file_is_named(name: str, content: str | bytes, fault: str) -> None:
    """A configuration that libcni would not load says why; one that it would load has no fault."""
    data = content.encode() if isinstance(content, str) else content
    found = judge(Source(f"/etc/cni/net.d/{name}", data))
    assert fault in found.fault
    assert bool(found.fault) == bool(fault)


def test_plugins_and_those_they_execute_themselves_are_named() -> None:
    """The types of the list come in order, ipam and delegate types once each beside them."""
    document = """{"name": "n", "plugins": [
        {"type": "flannel", "delegate": {"type": "bridge"}}, {"type": "ptp", "ipam": {"type": "host-local"}},
        {"type": "bridge", "ipam": {"type": "host-local"}}]}"""
    found = judge(Source("/x.conflist", document.encode()))
    assert found.plugins == ("flannel", "ptp", "bridge")
    assert found.delegates == ("bridge", "host-local")


def test_files_are_taken_in_lexical_order_of_bytes(
    put: Callable[..., Path], look: Callable[[], Report], told: Callable[[], str]
) -> None:
    """Upper case sorts before lower case, 10 before 9, and other endings do not count."""
    for name in ("a.conflist", "Z.conf", "9.json", "10.conflist", ".hidden.conf", "x.conflist.bak", "README"):
        put(f"/etc/cni/net.d/{name}", LIST % (name, "ptp") if name.endswith("list") else BRIDGE)
    (folder,) = look().folders
    names = [found.path.rsplit("/", 1)[1] for found in folder.configurations]
    assert names == [".hidden.conf", "10.conflist", "9.json", "Z.conf", "a.conflist"]
    assert folder.ignored == ("README", "x.conflist.bak")
    assert "x.conflist.bak: not considered" in told()


FOLDER = Folder(
    "/c",
    (
        Configuration("/c/00.conflist", fault="no `name`"),
        Configuration("/c/10.conflist", "one", plugins=("absent",)),
        Configuration("/c/20.conflist", "two", plugins=("there",)),
        Configuration("/c/30.conflist", "one", plugins=("there",)),
    ),
)


@pytest.mark.parametrize(
    ("rule", "network", "path", "why"),
    [
        ("first-must-load", "", "", "the first file in lexical order, /c/00.conflist, does not load: no `name`"),
        ("first-that-loads", "", "/c/20.conflist", "after passing over 00.conflist, 10.conflist"),
        ("named", "one", "/c/30.conflist", "first whose name is the configured 'one'"),
        ("named", "three", "", "no file that loads has it"),
    ],
)
def test_each_runtime_chooses_by_its_own_rule(rule: Rule, network: str, path: str, why: str) -> None:
    """A broken first file fails containerd, cri-o passes over it and over what lacks plugins, a name selects."""
    choice = choose(FOLDER, rule, network, lambda c: c.plugins == ("there",))
    assert choice.path == path
    assert why in choice.why


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        (Folder("/c", missing=True), "/c does not exist"),
        (Folder("/c", fault="permission denied"), "/c: permission denied"),
        (Folder("/c"), "/c has no file that ends in .conf, .conflist, .json"),
    ],
)
def test_no_choice_says_why(folder: Folder, why: str) -> None:
    """A folder that is missing, unreadable or empty gives no configuration and the reason."""
    assert choose(folder, "first-must-load", "", lambda _: True) == Choice("", why)


@pytest.mark.parametrize(("most", "path"), [(1, "/c/10"), (2, "/c/10"), (3, ""), (0, ""), (9, "")])
def test_every_file_that_containerd_loads_must_load(most: int, path: str) -> None:
    """With max_conf_num above 1, or 0 for all, a broken later file leaves pods without any network."""
    files = (Configuration("/c/10", "a"), Configuration("/c/20", "b"), Configuration("/c/30", fault="no `name`"))
    choice = choose(Folder("/c", files), "first-must-load", "", lambda _: True, most)
    assert choice.path == path
    assert path or "a file that must load in lexical order, /c/30, does not load" in choice.why


def test_all_files_without_their_plugins_is_no_choice() -> None:
    """cri-o has no network when every file that loads lacks a plugin."""
    assert not choose(FOLDER, "first-that-loads", "", lambda _: False).path
    assert "plugins are not all in place" in choose(FOLDER, "named", "two", lambda _: False).why


def test_two_files_of_one_name_are_told(put: Callable[..., Path], told: Callable[[], str]) -> None:
    """A second configuration of the same network name is a warning that names both."""
    put("/etc/cni/net.d/10-a.conflist", LIST % ("same", "ptp"))
    put("/etc/cni/net.d/20-b.conflist", LIST % ("same", "ptp"))
    assert "20-b.conflist: has the same network name, 'same', as /etc/cni/net.d/10-a.conflist" in told()
