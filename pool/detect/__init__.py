"""Workspaces of other tools: npm, yarn, pnpm, Cargo, Go and uv."""
