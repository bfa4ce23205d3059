"""The lab: a whole pod network on one machine, to try, to show and to test.

Every lab node is a network, mount and UTS namespace that runs the real daemon; a pod is a network namespace attached
by executing the real shim, as a container runtime does.  What is here makes that small world, probes it and takes it
away again; it decides nothing about pod networking, and nothing of it is needed on a real node.  No link of a lab is
ever in the machine's own network namespace.

`topology`, `matrix`, `table` and `drawing` are pure: value in, value or text out.  The others touch the machine.
"""
