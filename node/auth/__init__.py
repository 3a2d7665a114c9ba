"""Who asks, and what they may do: callers, the actions of the API, keys, people and sessions."""
