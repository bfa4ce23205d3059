"""Somebody else's firewall: which rule of it drops what pods send and get, or what nodes send each other.

Belongs here: others' rulesets as values, the packets that a pod network is made of, the walk of the ones through the
others, whose a rule is and what to type.  Does not belong here: reading rulesets (:mod:`podnet.doctor.rulesets`), and
podnet's own tables.

::

    reading, iptables    what netlink lists, what iptables-legacy-save prints → rulesets
    ways                 facts of this node → packets, hook by hook
    walk · judging       a packet through base chains; one rule, one packet; three answers (bits)
    findings             rules that drop → findings: whose (owners), as they print (words, saved), remedies

Chains of type nat are not walked: they see a connection's first packet alone, and rewrite.  Nor are bridges' tables.
"""

from podnet.diagnosis.firewall.findings import CHECK, drops, findings
from podnet.diagnosis.firewall.packet import Link
from podnet.diagnosis.firewall.reading import Reading
from podnet.diagnosis.firewall.ruleset import Ruleset, Rulesets, Unread
from podnet.diagnosis.firewall.ways import POD, Facts, Port

__all__ = ["CHECK", "POD", "Facts", "Link", "Port", "Reading", "Ruleset", "Rulesets", "Unread", "drops", "findings"]
