"""Monitoring: metrics, pings and logs of a run."""
