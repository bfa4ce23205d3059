"""A kit for tests of podnet and of what is built on it; nothing of podnet itself imports it.

``values`` are small networks and leases, ``namespaces`` real nodes and pods on this machine, compared by what `ip`
and `nft` say of them.
"""
