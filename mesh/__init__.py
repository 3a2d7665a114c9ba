"""Who is there and how to talk: identity, content addresses and the errors every room shares."""
