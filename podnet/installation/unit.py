"""The systemd unit, rendered: a pure function of the command and of the paths it needs."""

from collections.abc import Iterable, Sequence

from podnet.daemon.paths import Paths

NAME = "podnet.service"
PATH = f"/etc/systemd/system/{NAME}"

CAPABILITIES = ("CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE")
ADDRESS_FAMILIES = ("AF_UNIX", "AF_NETLINK")
IP_FAMILIES = ("AF_INET", "AF_INET6")
"""What besides is allowed a daemon that asks a server."""
SYSTEM_CALLS = "@system-service"
HOMES, TEMPORARY = ("/home", "/root", "/run/user"), ("/tmp", "/var/tmp")  # noqa: S108 - what a unit can hide

TEMPLATE = """\
# Written by `podnet install` of podnet {version}, which writes it anew: changes belong into
# {path}.d/*.conf (`systemctl edit podnet`).

[Unit]
Description=podnet, the node daemon of the pod network
# The uplink, its addresses and the default route are read at the start. They are there when the network is online, and
# then firewalls, which come before the network and at times empty nftables first, have done so.
Wants=network-online.target
After=network-online.target nftables.service firewalld.service
# Started before the runtimes and so ended after them: what they ask at a shutdown is answered by the daemon.
Before=containerd.service crio.service kubelet.service
# Never given up: a node without its network waits for whatever was missing.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
# Outside of what is protected below: to be made writable the CNI folders must be there, and somebody may remove them.
ExecStartPre=+mkdir -p {folders}
ExecStart={command}
Restart=always
RestartSec=1
TimeoutStopSec=20
WatchdogSec=60
# Pods and one-shots are the runtimes' children, not the daemon's: this ends the daemon, and after it whatever it should
# have left behind.
KillMode=mixed
SyslogIdentifier=podnet
# Without it pods are neither attached nor detached, also those whose end would give memory back.
OOMScoreAdjust=-900
# 1024 requests may wait at once, each with a connection and a namespace.
LimitNOFILE=16384

StateDirectory=podnet
StateDirectoryMode=0700
RuntimeDirectory=podnet
RuntimeDirectoryMode=0711
# A pod that has the folder mounted is to meet the next daemon's socket in it.
RuntimeDirectoryPreserve=yes

# CAP_NET_ADMIN: links, routes, nftables, and /proc/sys/net. CAP_SYS_ADMIN: setns(2) into pods' namespaces.
# CAP_DAC_OVERRIDE: CNI folders are at times their packer's, since archives of plugins are unpacked with owners.
CapabilityBoundingSet={capabilities}
NoNewPrivileges=yes
RestrictNamespaces=net
RestrictAddressFamilies={families}
SystemCallFilter={calls}
SystemCallErrorNumber=EPERM
SystemCallArchitectures=native
MemoryDenyWriteExecute=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
KeyringMode=private
# Not ProtectKernelTunables: forwarding is switched on in /proc/sys/net.
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
PrivateDevices=yes
# Mounts go from the machine to the daemon and never back (propagation is slave): namespaces that are made later are
# seen, and none is kept by the daemon. Pods' come as descriptors from the shim in any case.
ProtectSystem=strict
# /var/lib/cni: where host-local keeps its addresses, for configurations that have it give them.
ReadWritePaths={folders} -/var/lib/cni
ProtectHome={protect_home}
PrivateTmp={private_tmp}

[Install]
WantedBy=multi-user.target
"""


def unit(command: Sequence[str], reads: Iterable[str], paths: Paths, version: str, *, asks: bool = False) -> str:
    """Return the unit that runs `command`; `reads` are paths it reads, `version` is podnet's.

    A daemon that `asks` a server for its nodes may open IP sockets, else none may.  What hides /home or /tmp is left
    off where the daemon itself lies there.
    """
    known = list(reads)
    program, *arguments = command
    return TEMPLATE.format(
        version=version,
        path=PATH,
        folders=" ".join(map(quoted, (paths.cni_conf, paths.cni_bin))),
        command=" ".join([quoted(program), *(quoted(word).replace("$", "$$") for word in arguments)]),
        capabilities=" ".join(CAPABILITIES),
        families=" ".join((*ADDRESS_FAMILIES, *(IP_FAMILIES if asks else ()))),
        calls=SYSTEM_CALLS,
        protect_home="read-only" if _any_below(known, HOMES) else "yes",
        private_tmp="no" if _any_below(known, TEMPORARY) else "yes",
    )


def quoted(word: str) -> str:
    """Return `word` as systemd.syntax(7) and its specifiers have it, in quotes where it needs them."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if any(character in " \t'\"\\;" for character in word) else escaped


def _any_below(paths: Iterable[str], folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for path in paths for folder in folders)
