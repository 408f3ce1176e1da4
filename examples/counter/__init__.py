"""The counter: the smallest entity, and an effect.

Read ``counter`` first: what is decided, as plain functions. Then ``mailer``, which acts on the world,
and ``app``, which wires both to Perdure.
"""
