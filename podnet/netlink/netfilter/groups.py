"""Multicast groups of NETLINK_NETFILTER (enum nfnetlink_groups, linux/netfilter/nfnetlink_compat.h)."""

NFNLGRP_CONNTRACK_NEW = 1
NFNLGRP_CONNTRACK_UPDATE = 2
NFNLGRP_CONNTRACK_DESTROY = 3
NFNLGRP_NFTABLES = 7
NFNLGRP_NFTRACE = 9
