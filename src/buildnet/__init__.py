"""BuildNet: a team's machines become one build machine."""

__version__ = "0.1.0"
