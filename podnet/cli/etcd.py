"""etcd on the command line: what `podnet node run` and `podnet router run` are told of it alike."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

_OPTIONS = {
    "endpoints": ("--etcd", "URL[,URL…]", "Have the nodes from etcd.  [default: as podnet.yaml has it]"),
    "ca": ("--etcd-ca", "FILE", "Of the authority that etcd's certificates are of."),
    "cert": ("--etcd-cert", "FILE", "A client's certificate, for etcd."),
    "key": ("--etcd-key", "FILE", "Its key."),
    "user": ("--etcd-user", "NAME", "A user of etcd."),
    "password_file": ("--etcd-password-file", "FILE", "Where that user's password is."),
}


def etcd_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` the options of etcd; it gets them as one argument, `etcd`, for `podnet.cluster.with_etcd`."""

    @wraps(command)
    def gathered(**given: Any) -> None:
        etcd = {key: given.pop(f"etcd_{key}") for key in _OPTIONS}
        command(**given, etcd=etcd)

    decorated: Callable[..., None] = gathered
    for key, (option, metavar, shown) in reversed(_OPTIONS.items()):
        decorated = click.option(option, f"etcd_{key}", default="", metavar=metavar, help=shown)(decorated)
    return decorated
