"""``buildnet dashboard``: the pool on one screen of a terminal, live."""
