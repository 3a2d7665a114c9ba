"""The simulator: many nodes in virtual time, faults and all, as a function of a seed.

It drives the cores of the daemon, :class:`~buildnet.mesh.machine.Machine`, with no socket, thread
or clock. ``python -m buildnet.mesh.simulation --help`` tells how to run it.
"""
