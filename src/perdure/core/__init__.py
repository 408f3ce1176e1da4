"""Decisions: pure, synchronous functions over the vocabulary. No store, no clock, no chance."""
