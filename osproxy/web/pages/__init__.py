"""The pages that osproxy has of its own: health, status, metrics."""
