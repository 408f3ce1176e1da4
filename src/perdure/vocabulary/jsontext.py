"""Placeholder for the strict JSON pass; see the helper that owns this file."""
