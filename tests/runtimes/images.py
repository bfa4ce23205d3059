"""Images made here of what Debian has: nothing is pulled from anywhere."""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

PAUSE = "podnet.test/pause:1"
PAUSE_C = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def compiled(source: str, at: Path) -> Path:
    """Compile a C program into the file `at`, with all it needs in it."""
    subprocess.run(["cc", "-x", "c", "-", "-static", "-Os", "-o", str(at)], input=source, text=True, check=True)
    return at


def tarred(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """Return a tar archive of executable files, and of symbolic links."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(entry)
    return archive.getvalue()


def image(reference: str, layer: bytes, entrypoint: list[str]) -> bytes:
    """Return an image of one layer in the form that `docker save` writes and every runtime reads."""
    machine = platform.machine()
    configuration = {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {"Entrypoint": entrypoint},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    return tarred(
        {
            "layer.tar": layer,
            "config.json": json.dumps(configuration).encode(),
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


def pause_image(folder: Path) -> Path:
    """Make the image of what holds a pod's namespaces."""
    program = compiled(PAUSE_C, folder / "pause")
    made = folder / "pause.tar"
    made.write_bytes(image(PAUSE, tarred({"pause": program.read_bytes()}), ["/pause"]))
    return made
