"""The netlink codec and the transaction: bytes in, bytes out.  No socket is opened here.

``attributes`` and ``message`` are the grammar; ``rtnl/`` holds one file per rtnetlink object, ``netfilter/`` conntrack;
``transaction`` is a batch on its way: requests out, acknowledgements in.  Sources: linux/netlink.h, rtnetlink(7),
RFC 3549.
"""
