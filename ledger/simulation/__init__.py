"""The ledger's simulator: the mesh's simulated hosts with the ledger's core on top of its machine.

Virtual time, faults and all a function of a seed; the mesh elects coordinators, changes members and
voters as it does in the daemon. ``python -m buildnet.ledger.simulation --help`` tells how to run.

Where the invariants of the design are checked; what only a real file shows has tests of its own:

==  ==========================================  ====================================================
1   what is called sealed survives a minority   ``watch.told_sealed``: it is on a majority's disks
                                                then; ``agreement.look_at_the_end``: nothing is lost
2   one hash a place among honest nodes         ``watch.wrote``, at each entry that is written
3   final seals are consistent                  ``watch.wrote_seals``: each continues the one below,
                                                an entry is sealed once; at the end: one row
4   never two final seals of one height         ``watch.kept``, by epoch
5   no sequence is reused                       ``watch.wrote``, of a node's own entries
6   entry, postings, projection together        ``test_store_invariants.py``, on real files; here
                                                each write is there as a whole or not at all
7   replay gives the live state                 ``agreement.look_at_the_end``: a process that starts
                                                now; of tables ``test_store_derived.py``
8   double entry balances                       ``agreement``: all that is sealed is posted again,
                                                on every node; ``tests/ledger/test_accounts.py``
9   frontiers agree 35 s after a heal           ``trial``, by the mesh's ``course``
10  a retried request appends once              ``agreement``, of each origin; where an old ledger
                                                came back ``test_store_invariants.py``
11  damage is found and repaired                fault ``rot``: all is there again at the end; each
                                                byte of a file: ``test_store_damage.py``
==  ==========================================  ====================================================

Faults, beside all of the mesh's (drops, partitions, crashes with lost writes, clocks that jump,
members who join, leave or are revoked, a majority that is lost): ledgers that went back to an older
state, with and without their node knowing; two who sign with one key; a final seal that nobody else
has heard of; lies; rot; another key for a node; a recovery without a majority, which comes back; a
voter that forgot what it accepted where nobody else knows it; proposals of another history.

That the checks see what they look for: without the voters' look at the seals below, runs of 3 nodes
with faults are red by 3 (``a seal does not continue the one below``), where voters vote at once
though their disk went back, by 4 (``two final seals of one height``); ``test_simulation.py``.
"""
