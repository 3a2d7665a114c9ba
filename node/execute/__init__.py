"""Running actions: stages, processes, mounted trees, collected and delivered outputs."""
