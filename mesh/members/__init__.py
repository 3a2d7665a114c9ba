"""Who belongs to the cluster: signed changes, their fold, and how all nodes come to share it."""
