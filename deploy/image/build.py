"""`make image`: podnet's image without a container engine, from this interpreter and this machine's files.

    python -m deploy.image.build [--reference localhost/podnet:0.1.0] [--output dist/podnet-image.tar]

The file is an OCI image layout and a docker-archive in one.  SOURCE_DATE_EPOCH is the time of all that is in it; the
same environment and sources give the same bytes.  Where there is an engine, the Containerfile makes the like.
"""

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

import podnet
from deploy.image.oci import archive, layer
from deploy.image.rootfs import CERTIFICATES, HOME, gather

REFERENCE = f"localhost/podnet:{podnet.__version__}"
OUTPUT = Path("dist/podnet-image.tar")
SETTINGS = {
    "Entrypoint": [f"{HOME}/bin/podnet"],
    # The plugin is executed outside of the container, where this interpreter is not.
    "Cmd": ["node", "run", "--no-oneshot"],
    "Env": [
        f"PATH={HOME}/bin:/usr/bin",
        f"SSL_CERT_FILE={CERTIFICATES}",
    ],
    "WorkingDir": "/",
    "Labels": {
        "org.opencontainers.image.title": "podnet",
        "org.opencontainers.image.version": podnet.__version__,
        "org.opencontainers.image.licenses": "Apache-2.0",
    },
}


def build(name: str, epoch: int) -> tuple[bytes, int]:
    """Return the image's file, and how many bytes its layer has when unpacked."""
    with tempfile.TemporaryDirectory(prefix="podnet-image-") as folder:
        root = Path(folder) / "root"
        root.mkdir()
        gather(root)
        tar = layer(root, epoch)
    return archive(tar, name, SETTINGS, platform.machine(), epoch), len(tar)


def main(words: list[str] | None = None) -> int:
    """Build, write, and tell the size; return the exit status."""
    parser = argparse.ArgumentParser(prog="make image", description="podnet's image without a container engine.")
    parser.add_argument("--reference", default=REFERENCE, help="the image's name and tag (%(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="(%(default)s)")
    given = parser.parse_args(words)
    name = given.reference
    try:
        data, unpacked = build(name, int(os.environ.get("SOURCE_DATE_EPOCH", "0")))
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_bytes(data)
    except (RuntimeError, OSError) as error:
        sys.stderr.write(f"make image: {error}\n")
        return 1
    sys.stdout.write(f"{given.output}: {name}, {len(data) / 2**20:.1f} MiB, {unpacked / 2**20:.1f} MiB unpacked\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
