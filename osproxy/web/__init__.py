"""HTTP to clients: listeners, requests, bodies, own pages."""
