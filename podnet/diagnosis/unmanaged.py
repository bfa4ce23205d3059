"""Whether NetworkManager is told to leave a link alone (NetworkManager.conf(5), "Device List Format")."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from podnet.diagnosis.unit_file import Link, UnitFile


def unmanaged(files: Sequence[UnitFile], link: Link) -> bool:
    """Tell whether `files`, in the order in which they are read, say so: by [keyfile], or by a section [device…]."""
    listed: list[str] = []
    managed = True
    for file in files:
        for section, keys in file.sections:
            settings = {key: value.replace(",", ";") for key, value in keys}  # lists are parted by either
            if section == "keyfile":
                listed = settings.get("unmanaged-devices", "").split(";") if "unmanaged-devices" in settings else listed
                listed = listed + settings.get("unmanaged-devices+", "").split(";")
            elif section.startswith("device") and _among(settings.get("match-device", "*").split(";"), link):
                managed = settings.get("managed", "1") not in {"0", "false", "no"} and managed
    return not managed or _among(listed, link)


def _among(devices: Sequence[str], link: Link) -> bool:
    """Tell whether a list of devices has `link`: what is excepted is not among it."""
    wanted = [device.strip() for device in devices]
    excepted = [device.removeprefix("except:") for device in wanted if device.startswith("except:")]
    return any(_is(device, link) for device in wanted) and not any(_is(device, link) for device in excepted)


def _is(device: str, link: Link) -> bool:
    what, _, value = device.partition(":")
    if device == "*":
        return True
    if what == "interface-name":
        return link.name == value[1:] if value.startswith("=") else fnmatchcase(link.name, value)
    return what in {"type", "driver"} and fnmatchcase(link.kind, value)
