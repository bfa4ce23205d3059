"""podnet's nftables table, and the sets in it that more than one room speaks of."""

from podnet.nft import Set, Table

TABLE = Table("inet", "podnet")

REMOTE = {v: Set(table=TABLE, name=f"remote{v}", key=(f"ipv{v}_addr",), interval=True) for v in (4, 6)}
"""Other nodes' pods, by pod CIDR: they see this node's pods' own addresses.  The mesh fills it, masquerade asks it."""

NODES = {v: Set(table=TABLE, name=f"nodes{v}", key=(f"ipv{v}_addr",)) for v in (4, 6)}
"""Nodes' own addresses that do so too, since packets come back from there by the way they went."""
