"""Generic netlink: families that the kernel numbers when they come, found by their names (genetlink.h).

What belongs here: the controller that tells a family's number, and the codec of the families that podnet speaks.  What
does not: sockets, keys as text, and the decision who is a peer.
"""
