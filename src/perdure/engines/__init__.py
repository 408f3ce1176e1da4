"""Machinery that keeps the promises of ``ports``: bytes and values in, bytes and values out."""
