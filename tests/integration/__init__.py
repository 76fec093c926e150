"""
Real zypper, dnf and nginx against a real server, on loopback ports that the kernel picks.
"""
