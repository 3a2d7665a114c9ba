"""The mesh in the daemon: the cores driven, their effects done."""
