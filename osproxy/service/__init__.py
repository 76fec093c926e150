"""The running process: readiness and the one ordered stop."""
