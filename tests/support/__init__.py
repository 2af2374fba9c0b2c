"""Support for tests: servers, processes, archives."""
