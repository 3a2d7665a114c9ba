"""What Prometheus reads at ``/metrics``: counts kept while things happen, and the node's state when
it is asked."""
