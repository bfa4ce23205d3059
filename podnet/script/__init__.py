"""The engine as a shell script: what podnet does on a node, said by `ip` and `nft` (or `iptables`) in one POSIX file.

Belongs here: the frame of that script (`net-script.sh`), and turning plans into its functions.  Does not belong here:
deciding what a node or a pod needs: the plans are given by the caller, so the script cannot drift from the engine.
May import what is below `datapath`.
"""

from podnet.script.render import Firewall, net_script

__all__ = ["Firewall", "net_script"]
