"""How fast this host is: measured when it has nothing to do, kept, told the others."""
