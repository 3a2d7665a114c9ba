"""The ledger's file: entries, seals and what is derived from them."""
