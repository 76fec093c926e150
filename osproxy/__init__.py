"""osproxy: a mirror-aware caching proxy for RPM repositories."""
