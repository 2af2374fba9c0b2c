"""The ModelsLab API: its client, responses, rate limit and circuit breaker."""
