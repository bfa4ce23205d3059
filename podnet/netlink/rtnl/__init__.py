"""rtnetlink's objects, one file each: link, addr, route, neigh, rule, qdisc, filter.

What belongs here: a frozen message class per object with its kernel constants, its encoding and its decoding, and the
requests that ip(8), bridge(8) and tc(8) would make of it.  What does not: names of links (these messages have
ifindexes), sockets, and any decision about what a pod needs.
"""
