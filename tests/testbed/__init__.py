"""What tests and benchmarks of the mesh need around real nodes: bad networks, hosts, clusters."""
