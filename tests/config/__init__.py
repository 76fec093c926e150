"""Tests of `osproxy.config`."""
