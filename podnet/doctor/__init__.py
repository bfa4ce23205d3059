"""`podnet doctor`: what this machine is, gathered from its edges, and given to the checks of :mod:`podnet.diagnosis`.

Belongs here: reading sysctls, /proc, links, the database, configuration files of others, probing the path to other
nodes, and which check is told what.  Does not belong here: what any of it means.  What cannot be seen is a finding too.
"""
