"""`kubectl podnet` run, with a kubectl on PATH that answers from files and writes down what it was asked."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podnet.errors import IOFailure
from podnet.kubectl.kubectl import Kubectl
from tests.kubectl.test_cluster import node, pod

KUBECTL = """#!/bin/sh
# The first file whose name the words have in them, with spaces as in the words, is the answer.
echo "$*" >> "$ANSWERS/asked"
for file in "$ANSWERS"/answers/*; do
    case "$*" in *"$(basename "$file")"*) cat "$file"; exit 0 ;; esac
done
echo 'Error from server (NotFound): not found' >&2
exit 1
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def answer(tmp_path: Path) -> Callable[..., None]:
    """Give a function that sets what kubectl answers where its words have these in them; text or a list's items."""
    (tmp_path / "answers").mkdir()
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)

    def answers(words: str, content: str | list[dict[str, Any]] | dict[str, Any]) -> None:
        document = {"items": content} if isinstance(content, list) else content
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / "answers" / words).write_text(text)

    answers("get nodes", [node("n1", ("10.244.1.0/24",)), node("n2", ("10.244.2.0/24",))])
    answers("get pods", [pod("p1", "n1"), pod("p2", "n2")])
    answers("get events", [])
    return answers


@pytest.fixture
def run(tmp_path: Path, answer: Callable[..., None]) -> Run:
    """Give a function that runs `kubectl podnet`."""
    del answer
    environment = os.environ | {"PATH": f"{tmp_path}:/usr/bin:/bin", "ANSWERS": str(tmp_path)}

    def call(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", "from podnet.kubectl import main; main()", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    return call


def asked(tmp_path: Path) -> list[str]:
    """Return what kubectl was asked."""
    return (tmp_path / "asked").read_text().splitlines()


def test_status_of_all_nodes(run: Run, answer: Callable[..., None]) -> None:
    """A line for each; the exit status says whether all are Ready with a podnet that runs."""
    done = run("status")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["n1", "Ready", "10.244.1.0/24", "Running", "i:1", "2", "-"]
    assert lines[2].startswith("n2")
    answer("get pods", [pod("p1", "n1")])
    done = run("status")
    assert done.returncode == 1
    assert "none" in done.stdout.splitlines()[2]


def test_a_pod_is_explained_by_its_node(run: Run, answer: Callable[..., None], tmp_path: Path) -> None:
    """The node of the pod is asked who has its address, then for that container; a past holder is not it."""
    answer("get pod red", {"spec": {"nodeName": "n2"}, "status": {"podIP": "10.244.2.5"}})
    answer("who 10.244.2.5", json.dumps([{"container": "new", "to": None}, {"container": "old", "to": 1.0}]))
    answer("explain new", "# why\nip link add …\n")
    done = run("--context", "c", "explain", "red", "-n", "blue")
    assert (done.returncode, done.stdout) == (0, "# why\nip link add …\n"), done.stderr
    assert "--context=c get pod red --namespace blue --output json" in asked(tmp_path)
    last = "--context=c exec --namespace kube-system p2 --container podnet -- podnet explain new"
    assert asked(tmp_path)[-1] == last


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"spec": {"nodeName": "n1", "hostNetwork": True}, "status": {"podIP": "10.0.0.1"}}, "hostNetwork"),
        ({"spec": {}, "status": {}}, "has no node yet"),
        ({"spec": {"nodeName": "n1"}, "status": {}}, "has no address yet"),
    ],
)
def test_pods_without_a_part_of_podnets(run: Run, answer: Callable[..., None], given: Any, told: str) -> None:
    """The error says why there is nothing to explain."""
    answer("get pod red", given)
    done = run("explain", "red")
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_address_is_asked_of_the_node_that_gives_it(run: Run, answer: Callable[..., None], tmp_path: Path) -> None:
    """And where no node's pod CIDR has it, nobody is asked."""
    answer("podnet who 10.244.2.9", "somebody\n")
    assert run("who", "10.244.2.9").stdout == "somebody\n"
    assert " p2 " in asked(tmp_path)[-1]
    done = run("who", "192.0.2.1")
    assert done.returncode == 1
    assert "no node's pod CIDR" in done.stderr


def test_every_node_is_checked(run: Run, answer: Callable[..., None]) -> None:
    """Each under its name; one that answers with an error is shown with it, and the exit status tells."""
    answer("p1 --container podnet -- podnet check", "as it was made\n")
    done = run("check")
    assert done.returncode == 1
    assert done.stdout == "## n1\nas it was made\n## n2\n\n"
    assert "not found" in done.stderr
    assert run("check", "n1").returncode == 0


def test_every_nodes_doctor_is_asked(run: Run, answer: Callable[..., None]) -> None:
    """Each under its name, or one alone; the worst exit status is the command's."""
    answer("podnet doctor", "Nothing found by 14 checks: …\n")
    done = run("doctor")
    assert (done.returncode, done.stdout.count("Nothing found")) == (0, 2)
    assert run("doctor", "n2").stdout == "## n2\nNothing found by 14 checks: …\n"
    done = run("doctor", "n9")
    assert (done.returncode, done.stdout) == (1, "## n9\n")
    assert "no Node n9" in done.stderr


def test_a_node_that_cannot_be_asked_keeps_no_other_from_it(run: Run, answer: Callable[..., None]) -> None:
    """It is told with what is amiss there, and the exit status tells."""
    answer("get pods", [pod("p1", "n1", state={"waiting": {"reason": "CrashLoopBackOff"}}), pod("p2", "n2")])
    answer("p2 --container podnet -- podnet check", "as it was made\n")
    done = run("check")
    assert (done.returncode, done.stdout) == (1, "## n1\n## n2\nas it was made\n")
    assert "p1 is CrashLoopBackOff" in done.stderr


def test_errors_of_kubectl_are_shown_with_what_to_do(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says, in a line; and where there is none, where to have it from."""
    done = run("explain", "nosuch")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "(NotFound): not found; is it in another namespace" in done.stderr
    monkeypatch.setenv("PATH", str(tmp_path / "answers"))
    with pytest.raises(IOFailure, match="kubectl is not on PATH"):
        Kubectl().run("version")


def test_uninstalling_cleans_each_node_when_the_daemons_are_gone(
    run: Run, answer: Callable[..., None], tmp_path: Path
) -> None:
    """DaemonSet, its pods' end, the pods that clean, their rollout, and what is left: in this order."""
    assert run("uninstall", "--yes").returncode == 1
    image = {"spec": {"template": {"spec": {"containers": [{"image": "i:1"}]}}}}
    answer("get daemonset", [image])
    for words in ("delete", "wait", "apply", "rollout"):
        answer(words, "")
    (tmp_path / "asked").unlink()
    assert run("uninstall", "--yes").returncode == 0
    did = [line.split()[0] for line in asked(tmp_path)]
    assert did == ["get", "delete", "wait", "apply", "rollout", "delete", "delete", "delete"]


def test_uninstalling_names_the_pods_that_lose_their_network(run: Run, answer: Callable[..., None]) -> None:
    """Those with an address of a node's pod CIDR, before it is asked whether to go on; the first ones by name."""
    webs = [pod(f"web-{number}", "n1") for number in range(7)]
    for number, web in enumerate(webs):
        web["metadata"]["namespace"] = "shop"
        web["status"]["podIP"] = f"10.244.1.{number + 2}"
    webs[5]["status"]["podIP"] = "192.0.2.7"
    webs[6]["spec"]["hostNetwork"] = True
    answer("get pods", webs)
    done = run("uninstall")
    assert done.returncode == 1
    assert done.stdout.startswith(
        "5 pods will have no network: shop/web-0, shop/web-1, shop/web-2, shop/web-3, shop/web-4."
    )
    answer("get pods", [])
    assert run("uninstall").stdout.startswith("No pod is on podnet. Take podnet off every node?")
