"""How entries become final: one seal a height, cosigned by a majority of the voters in one term.

Per height it is Paxos (Lamport, "Paxos Made Simple"): the mesh's election gives each granted term
one coordinator, and a coordinator's process proposes one value a height in its term. A voter keeps
on disk the highest term it promised (``Promise``) and the value it accepted last (``Accepted``),
before it says so. A value is final when a majority of the voters that it names accepted it in one
term; a cosignature is that acceptance.

Why there are never two final values of one height in one epoch:

1. By induction the seal below is the same everywhere, so the voters of the height are one of two
   sets: those that the seal below names, C, or the member list's next ones, D (``voters.py``).
   C and D differ by one node, so any majority of either meets any majority of either. (Where a key
   was rotated it is the same node, with the same disk, under two keys.)
2. Let V be final in term t, by a majority M of C or D. A coordinator of a later term u proposes at
   this height only with promises for u of a majority Q of C or D. Some voter is in both. It
   accepted V in t before it promised u, else it would have refused; and it had not seen the height
   final, else the coordinator catches up first. So it told (t, V), or what it accepted in a term
   between; by induction over the terms that is V, too.
3. The coordinator proposes the value of the highest term that it was told. That is V.

A promise holds for all heights: a voter accepts only at the height after its last final seal, so
at heights above it has accepted nothing. A coordinator therefore goes on without asking again, as
long as its promises are of a majority of the voters that the next value names. A process that
starts anew never goes on in a term that it promised itself before.

The first seal has none below: any set may decide it, since a cluster may be older than its ledger.
Until it is final the member list changes no voters, so there is one set, or two where a voter is
revoked meanwhile. (Revoking several before the first seal is final is not covered.)

A voter's word is only as good as its disk. Where that went back to an older ``Promise`` or
``Accepted`` (a backup, a file copied back), the voter abstains until whatever it may have said is
decided without it: see ``abstaining.py``.

What a voter checks is a function of the value, the seals below and the final member list: no voter
refuses for ever what another one had to accept, and a value that must be proposed again can be
accepted by all. What only some nodes know yet (a revocation that is held, two branches of a chain)
keeps the coordinator from proposing; voters are bound once it is sealed, or once another branch is
(what they hold of the losing one is set aside). A clock that is ahead delays, it does not refuse.
A tick after the last final seal is never too early: a majority vouched for the time of that one.

Voters: the member list changes them by its own majority, and waits with the next change until a
seal names the last one (:attr:`Sealing.may_change_voters`); seals go through the changes one by
one, if need be without entries. While a change is on its way nothing new is proposed, and of two
voters neither goes, nor gets another key, while a value is proposed: it would be needed to make
that final. A revocation waits for nothing: where it takes one of two voters, and a value that names
both is under way or has to come first, the majority is lost, and only a recovery helps.

A recovery replaces voters that are gone, so nothing can be asked of a majority of theirs: its epoch
is greater, seals of a greater epoch win, and what the old voters sealed meanwhile at these heights
is set aside; so is, at once, what voters sealed whose version of the member list the recovery went
on without, for who never heard of that version can't check it. What is under such seals is sealed
again, as far as it is on a disk. A voter that accepted a value of the new epoch takes no seals of
the old one in its place, for it may be final: who holds more of those waits to be shown the new
one. What the old voters recorded of members that the recovery went on without is void, and holds up
nothing.
"""
