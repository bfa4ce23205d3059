"""deploy/podnet.yaml says what the code needs, and nothing else has to be said elsewhere."""

import inspect
from pathlib import Path
from typing import Any

import yaml

import podnet
from podnet.cli.start import start
from podnet.cluster.settings import parse_settings
from podnet.daemon.paths import Paths
from podnet.daemon.source import FIRST_LIST
from podnet.kubectl.cluster import NAMESPACE, SELECTOR
from podnet.kubectl.removal import MANIFEST
from podnet.kubectl.removal import manifest as removal

DEPLOY = Path(__file__).parents[2] / "deploy"


def folders(pod: dict[str, Any]) -> dict[str, str]:
    """Return which folder of the host is where in the first container of `pod`."""
    paths = {volume["name"]: volume.get("hostPath", {}).get("path", "") for volume in pod["volumes"]}
    mounts = (pod.get("initContainers") or pod["containers"])[0]["volumeMounts"]
    return {mount["mountPath"]: paths[mount["name"]] for mount in mounts}


def test_paths_are_the_same_inside_and_outside(pod: dict[str, Any]) -> None:
    """The shim runs outside of the container with paths that the daemon wrote inside of it."""
    mounted = folders(pod)
    assert mounted.pop("/etc/podnet") == ""  # the ConfigMap
    assert all(inside == outside for inside, outside in mounted.items())
    paths = Paths()
    for path in (paths.database, paths.nodes, paths.spool, paths.socket, paths.aliases, paths.cni_conf, paths.cni_bin):
        assert any(f"{path}/".startswith(f"{folder}/") for folder in mounted), path
    assert not any(f"{paths.config}/".startswith(f"{folder}/") for folder in mounted)


def test_namespaces_made_later_are_seen(pod: dict[str, Any]) -> None:
    """The daemon opens pods' namespaces by path, also of those that are made after its own start."""
    netns = next(m for m in pod["containers"][0]["volumeMounts"] if m["mountPath"] == "/run/netns")
    assert netns["mountPropagation"] == "HostToContainer"


def test_the_plugin_is_given_no_interpreter(pod: dict[str, Any]) -> None:
    """The daemon is started as a container's has to be, by the way in that needs no click."""
    from podnet.cli import NODE_RUN_IN_POD  # noqa: PLC0415 - the name says it here

    assert pod["containers"][0]["args"] == NODE_RUN_IN_POD
    assert inspect.signature(start).parameters["oneshot"].default is True


def test_a_daemon_that_ends_at_once_stops_the_rollout(manifest: list[dict[str, Any]]) -> None:
    """Without a probe a pod is Ready when its process runs: it has to run for longer than a wrong podnet.yaml takes."""
    spec = next(d for d in manifest if d["kind"] == "DaemonSet")["spec"]
    container = spec["template"]["spec"]["containers"][0]
    assert "readinessProbe" in container or spec["minReadySeconds"] > FIRST_LIST
    assert spec["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 1}


def test_the_configuration_is_one(manifest: list[dict[str, Any]]) -> None:
    """The ConfigMap's podnet.yaml is read without complaint."""
    text = next(d for d in manifest if d["kind"] == "ConfigMap")["data"]["podnet.yaml"]
    assert parse_settings(text, "podnet.yaml", "n1").backend == "auto"


def test_every_manifest_has_this_release() -> None:
    """The images' tag is podnet's version, in the manifest and in the one that uninstalls."""
    for name in ("podnet.yaml", "uninstall.yaml"):
        images = [line.split()[1] for line in (DEPLOY / name).read_text().splitlines() if "image:" in line]
        assert images
        assert set(images) == {f"localhost/podnet:{podnet.__version__}"}


def test_the_base_is_the_manifest() -> None:
    """Kustomize's base has deploy/podnet.yaml and changes nothing of it."""
    base = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
    assert base.keys() == {"apiVersion", "kind", "resources"}
    assert base["resources"] == ["podnet.yaml"]


def test_kubectl_podnet_finds_it(manifest: list[dict[str, Any]]) -> None:
    """Namespace and label are those by which `kubectl podnet` looks for podnet's pods."""
    daemon_set = next(d for d in manifest if d["kind"] == "DaemonSet")
    key, _, value = SELECTOR.partition("=")
    assert daemon_set["metadata"]["namespace"] == NAMESPACE
    assert daemon_set["spec"]["template"]["metadata"]["labels"][key] == value


def test_uninstalling_reaches_what_was_installed(pod: dict[str, Any]) -> None:
    """The pod that cleans a node runs where the daemon ran, on every node, and sees the folders above podnet's own."""
    document = yaml.safe_load(removal("example.org/podnet:9", "elsewhere"))
    cleaner = document["spec"]["template"]["spec"]
    assert MANIFEST.resolve() == DEPLOY / "uninstall.yaml"
    assert document["metadata"]["namespace"] == "elsewhere"
    assert {c["image"] for c in (*cleaner["initContainers"], *cleaner["containers"])} == {"example.org/podnet:9"}
    assert all(cleaner[key] == pod[key] for key in ("hostNetwork", "hostPID", "tolerations", "nodeSelector"))
    above = folders(cleaner)
    assert all(inside == outside for inside, outside in above.items())
    kept = {str(Path(folder).parent) for folder in (Paths().database, Paths().socket)}
    assert {str(Path(folder).parent) for folder in kept} <= above.keys()
    assert {Paths().cni_conf, Paths().cni_bin} <= above.keys()
