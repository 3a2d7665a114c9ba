"""Workspaces of other tools: npm, yarn and pnpm."""
