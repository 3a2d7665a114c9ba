"""How entries reach every node: pushed when appended, pulled where missing.

Who appends pushes at once to all linked members. For what does not arrive that way, nodes tell each
other how far their chains reach (:class:`~buildnet.ledger.messages.Heads`): all when a link comes
up, what is new to a few every half second, all to somebody now and then. Whoever lacks something
pulls it in bounded ranges. A chain is only ever taken from its beginning without gaps, so what a
peer claims costs an ask and nothing more, and what it sends out of order costs a bounded buffer.
"""
