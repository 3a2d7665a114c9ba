"""The ledger's simulator: the mesh's simulated hosts with the ledger's core on top of its machine.

Virtual time, faults and all a function of a seed; the mesh elects coordinators, changes members and
voters as it does in the daemon. ``python -m buildnet.ledger.simulation --help`` tells how to run.
"""
