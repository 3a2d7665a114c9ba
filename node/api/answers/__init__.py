"""What the routes of the API answer, as it is described; made from views that are dictionaries.

Nothing is checked against them while it is answered: tests do that with what real nodes answer.
"""
