"""Netfilter's netlink subsystems besides nftables (which is the room `nft`): connection tracking.

What belongs here: the codec of nfnetlink subsystems that podnet speaks beside its tables.  What does not: rules,
sockets, and the decision whose connections are to be forgotten.
"""
