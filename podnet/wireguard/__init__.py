"""WireGuard's own words: keys, and the text by which a program that serves a device is configured.  Pure.

What the kernel is told of devices is :mod:`podnet.netlink.generic.wireguard`, whose values are used here too.
"""
