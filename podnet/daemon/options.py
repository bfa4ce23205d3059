"""What the daemon was started with besides podnet.yaml, kept beside its database.

The one-shot, `podnet explain`, `check` and `script` do not see its command line, and must not disagree with it.
"""

import os

import msgspec

from podnet.cluster import Settings
from podnet.errors import IOFailure, StateError


class Options(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """None is what podnet.yaml has."""

    masquerade: bool | None = None

    def over(self, settings: Settings) -> Settings:
        """Return `settings` with what was said on the command line in their place."""
        return settings if self.masquerade is None else msgspec.structs.replace(settings, masquerade=self.masquerade)


NOTHING = Options()
"""No word on the command line."""


def read_options(path: str) -> Options:
    """Return what the file at `path` has, nothing where there is no such file; raise StateError or IOFailure."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib's import takes longer
            return msgspec.json.decode(file.read(), type=Options)
    except FileNotFoundError:
        return NOTHING
    except msgspec.DecodeError as error:
        raise StateError(f"{path} is not as the daemon writes it ({error}): remove it and start the daemon") from error
    except OSError as error:
        raise IOFailure(f"{path}: cannot be read: {error.strerror}; make it a file that root may read") from error


def keep_options(path: str, options: Options) -> None:
    """Make the file at `path` say that, in one step, and be gone where there is nothing to say; raise IOFailure."""
    from podnet.daemon.install import install_file, remove_file  # noqa: PLC0415 - who only reads does not need it

    folder, name = os.path.split(path)
    if options == NOTHING:
        remove_file(folder, name)
    else:
        install_file(folder, name, msgspec.json.encode(options).decode())
