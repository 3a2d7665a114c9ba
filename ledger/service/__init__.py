"""The ledger at work: what drives its core, writes its disk and speaks for it."""
