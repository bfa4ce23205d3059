"""The pods' images, made here of what was built: nothing is pulled from anywhere."""

from pathlib import Path

from tests.runtimes.images import PAUSE, image, pause_image, tarred

AGNHOST = "podnet.test/agnhost:1"
__all__ = ["AGNHOST", "PAUSE", "make_images"]


def make_images(programs: Path, folder: Path) -> list[Path]:
    """Make the image that holds a pod's namespaces, and Kubernetes' own test image's program."""
    agnhost = folder / "agnhost.tar"
    layer = tarred({"agnhost": (programs / "agnhost").read_bytes()})
    agnhost.write_bytes(image(AGNHOST, layer, ["/agnhost"]))
    return [pause_image(folder), agnhost]
