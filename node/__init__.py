"""One host: scans, stores, executes and serves."""
