"""Tests of `osproxy.tools`."""
