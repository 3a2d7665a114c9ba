"""BuildNet: a team's machines become one build machine."""

__version__ = "0.2.0"
