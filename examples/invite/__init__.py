"""Inviting customers: look up, operate, write.

``functions`` is what the business knows, once and for all. ``app`` runs it on Perdure; the tests run the
same functions by hand, in process and over HTTP.
"""
