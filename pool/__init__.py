"""The hosts together: resource vocabulary, pooled view, workspaces, actions and builds."""
