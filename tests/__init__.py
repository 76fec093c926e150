"""Tests of osproxy."""
