"""Builds as OpenTelemetry traces: every node tells its part, and the parts fit together."""
