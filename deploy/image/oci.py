"""A folder as an image of one layer, in a file that `ctr images import` and `podman load` take.

The layout is the OCI image format's (github.com/opencontainers/image-spec): `oci-layout`, `index.json`, and blobs named
by their digests; `manifest.json` beside them makes the same file a docker-archive.  Bytes depend on names, contents and
the given time alone: entries are sorted, owners are root, and gzip is told no time.
"""

import gzip
import hashlib
import io
import json
import stat
import tarfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

MEDIA = "application/vnd.oci.image"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""The machine as uname(1) names it, and as images do (Go's GOARCH)."""


class Blob(NamedTuple):
    """Something that is named by its digest; `media` is its type's ending."""

    media: str
    data: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def descriptor(self) -> dict[str, Any]:
        """How others name it."""
        return {"mediaType": f"{MEDIA}.{self.media}", "digest": f"sha256:{self.digest}", "size": len(self.data)}


def layer(root: Path, epoch: int) -> bytes:
    """Return the files below `root` as a tar, all of them root's and of the time `epoch`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            entry = tarfile.TarInfo(str(path.relative_to(root)))
            entry.mtime = epoch
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
                tar.addfile(entry)
            elif stat.S_ISDIR(mode):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if mode & stat.S_ISVTX else 0o755
                tar.addfile(entry)
            else:
                entry.size, entry.mode = path.stat().st_size, 0o755 if mode & stat.S_IXUSR else 0o644
                with path.open("rb") as file:
                    tar.addfile(entry, file)
    return buffer.getvalue()


def archive(tar: bytes, name: str, settings: Mapping[str, Any], machine: str, epoch: int) -> bytes:
    """Return an image called `name`, of the one layer `tar`, as a file; `settings` are its config's `config`."""
    compressed = Blob("layer.v1.tar+gzip", gzip.compress(tar, 9, mtime=0))
    created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = Blob(
        "config.v1+json",
        _json(
            {
                "architecture": ARCHITECTURES[machine],
                "os": "linux",
                "created": created,
                "config": dict(settings),
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
                "history": [{"created": created, "comment": "make image"}],
            }
        ),
    )
    manifest = Blob(
        "manifest.v1+json",
        _json(
            {
                "schemaVersion": 2,
                "mediaType": f"{MEDIA}.manifest.v1+json",
                "config": config.descriptor,
                "layers": [compressed.descriptor],
            }
        ),
    )
    # containerd takes the whole name from an annotation of its own; the standard's is the tag.
    names = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    index = {
        "schemaVersion": 2,
        "mediaType": f"{MEDIA}.index.v1+json",
        "manifests": [{**manifest.descriptor, "annotations": names}],
    }
    docker = [
        {"Config": _place(config), "RepoTags": [name], "Layers": [_place(compressed)]},
    ]
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json(index),
        "manifest.json": _json(docker),
        **{_place(blob): blob.data for blob in (config, manifest, compressed)},
    }
    return b"".join(_tar(files, epoch))


def _tar(files: Mapping[str, bytes], epoch: int) -> Iterator[bytes]:
    """Yield `files` as a tar, folders before what is in them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in sorted({str(parent) for name in files for parent in Path(name).parents} - {"."}):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, epoch
            tar.addfile(entry)
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(files[name]), 0o644, epoch
            tar.addfile(entry, io.BytesIO(files[name]))
    yield buffer.getvalue()


def _place(blob: Blob) -> str:
    return f"blobs/sha256/{blob.digest}"


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
