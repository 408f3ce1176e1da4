"""Promises: what an engine and the environment must keep. Protocols over the vocabulary."""
