"""Configurations of other build tools, taken over as a workspace: turbo and nx."""
