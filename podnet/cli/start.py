"""The start of the daemon, without click."""

import sys

from podnet.errors import PodnetError

CONFIG = "/etc/podnet/podnet.yaml"
CNI_CONF = "/etc/cni/net.d"
CNI_BIN = "/opt/cni/bin"


def start(
    config: str = CONFIG,
    cni_conf: str = CNI_CONF,
    cni_bin: str = CNI_BIN,
    *,
    kubeconfig: str = "",
    node_name: str = "",
    etcd: dict[str, str] | None = None,
    oneshot: bool = True,
    masquerade: bool | None = None,
) -> int:
    """Run the node daemon until it is told to end; return its exit status, 1 with one line where it cannot run.

    Without `oneshot` the shim is not told of this interpreter: then it serves nobody while there is no daemon.
    `masquerade` None is as podnet.yaml has it.
    """
    from podnet.daemon.options import Options  # noqa: PLC0415 - likewise
    from podnet.daemon.paths import Paths  # noqa: PLC0415 - click's way here shows its help without them
    from podnet.daemon.run import run  # noqa: PLC0415 - likewise

    try:
        paths = Paths(config=config, cni_conf=cni_conf, cni_bin=cni_bin)
        interpreter = sys.executable if oneshot else ""
        options = Options(masquerade)
        return run(
            paths,
            kubeconfig=kubeconfig,
            node_name=node_name,
            etcd=etcd or {},
            interpreter=interpreter,
            options=options,
        )
    except PodnetError as error:
        sys.stderr.write(f"podnet: {error.msg}\n" + (f"{error.details}\n" if error.details else ""))
        return 1
