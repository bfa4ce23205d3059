"""The image that `make image` makes: the same bytes each time, and podnet runs in it."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

import podnet
from deploy.image.oci import archive, layer
from deploy.image.rootfs import CERTIFICATES, STATE, required

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an image."""
    return make(tmp_path_factory.mktemp("image"), "1")


def make(folder: Path, seed: str) -> Path:
    """Return an image that is made in `folder` by a process whose hashes have that `seed`."""
    path = folder / "image.tar"
    words = ["-m", "deploy.image.build", "--output", str(path), "--reference", "example.org/podnet:x"]
    environment = os.environ | {"PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run([sys.executable, *words], check=True, cwd=ROOT, env=environment, capture_output=True)
    return path


def document(image: Path, name: str) -> Any:
    """Return a JSON document of the image's."""
    with tarfile.open(image) as tar:
        return json.loads(bytes_of(tar, name))


def bytes_of(tar: tarfile.TarFile, name: str) -> bytes:
    """Return a file of `tar`."""
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def unpack(image: Path, folder: Path) -> None:
    """Unpack the image's layer into `folder`."""
    with tarfile.open(image) as tar:
        content = tar.extractfile(json.loads(bytes_of(tar, "manifest.json"))[0]["Layers"][0])
        with tarfile.open(fileobj=content, mode="r:gz") as inner:
            inner.extractall(folder, filter="fully_trusted")  # noqa: S202 - made here


@pytest.mark.timeout(240)
def test_the_same_sources_give_the_same_bytes(image: Path, tmp_path: Path) -> None:
    """Made anew elsewhere, by a process with other hashes, it is the same file."""
    again = make(tmp_path, "2")
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(image.read_bytes()).digest()


def test_blobs_are_what_they_are_called(image: Path) -> None:
    """Every digest and size that index and manifest name is true, and the layer's own is in the config."""
    index = document(image, "index.json")
    described = index["manifests"][0]
    manifest = document(image, f"blobs/sha256/{described['digest'][7:]}")
    with tarfile.open(image) as tar:
        for blob in (described, manifest["config"], *manifest["layers"]):
            content = bytes_of(tar, f"blobs/sha256/{blob['digest'][7:]}")
            assert hashlib.sha256(content).hexdigest() == blob["digest"][7:]
            assert len(content) == blob["size"]
    assert described["annotations"]["io.containerd.image.name"] == "example.org/podnet:x"
    assert document(image, "manifest.json")[0]["RepoTags"] == ["example.org/podnet:x"]


def test_the_layer_is_sorted_and_of_one_time(image: Path) -> None:
    """Entries are root's, in order, of SOURCE_DATE_EPOCH, and what is mounted has its folder."""
    with tarfile.open(image) as tar:
        content = tar.extractfile(document(image, "manifest.json")[0]["Layers"][0])
        with tarfile.open(fileobj=content, mode="r:gz") as inner:
            entries = inner.getmembers()
    assert {(e.uid, e.gid, e.mtime) for e in entries} == {(0, 0, 1700000000)}
    names = [Path(e.name) for e in entries]
    assert names == sorted(names)
    assert {Path(folder) for folder in STATE} <= set(names)


@pytest.mark.live
def test_podnet_runs_in_it(image: Path, tmp_path: Path) -> None:
    """With nothing but the image below its root podnet says its version, and each dependency and TLS is there."""
    unpack(image, tmp_path)

    def run(*command: str) -> str:
        words = ["chroot", str(tmp_path), *command]
        return subprocess.run(words, check=True, capture_output=True, text=True, env={"PATH": "/usr/sbin"}).stdout

    assert podnet.__version__ in run("/opt/podnet/bin/podnet", "version")
    modules = "podnet.daemon.run, podnet.cluster.kubernetes, msgspec, yaml._yaml, inotify_simple, rich, sqlite3, ssl"
    trusted = f"len(ssl.create_default_context(cafile='{CERTIFICATES}').get_ca_certs())"
    assert int(run("/opt/podnet/bin/python3", "-I", "-c", f"import {modules}; print({trusted})")) > 50


def test_what_is_required_is_found_through_others() -> None:
    """What rich requires is podnet's too, what tests require is not."""
    names = {dependency.name.lower() for dependency in required("podnet")}
    assert {"click", "msgspec", "pyyaml", "inotify-simple", "rich", "markdown-it-py"} <= {
        n.replace("_", "-") for n in names
    }
    assert "pytest" not in names


def test_links_and_rights_are_kept(tmp_path: Path) -> None:
    """A layer has links as links, executables as such, and the sticky bit of /tmp."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/run").write_text("x")
    (tmp_path / "bin/run").chmod(0o700)
    (tmp_path / "bin/link").symlink_to("run")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    path = tmp_path.with_suffix(".tar")
    path.write_bytes(layer(tmp_path, 0))
    with tarfile.open(path) as tar:
        found = {entry.name: (entry.mode, entry.linkname) for entry in tar}
    assert found == {"bin": (0o755, ""), "bin/link": (0o777, "run"), "bin/run": (0o755, ""), "tmp": (0o1777, "")}
    assert archive(path.read_bytes(), "a:b", {}, "x86_64", 0) == archive(path.read_bytes(), "a:b", {}, "x86_64", 0)
