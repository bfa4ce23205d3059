"""What sources that are asked over HTTP have in common: connections, what is known by lists and watches, trouble.

What belongs here: ``access`` (a server, who asks it, TLS), ``http`` (requests and streams), ``backoff``, ``lines``,
``reflector`` (what to ask next and what is known, without I/O), ``following`` (the thread that asks), ``listing``
(which nodes that makes).  What does not: what a server's bytes mean, and how it is asked: ``kubernetes``, ``etcd``.
"""
