"""The bank: accounts, and money that moves between them.

Read ``events`` first, then ``account``, what an account is, and ``cash``, ``transfers`` and ``requests``,
what it decides. ``creation`` opens accounts, and ``app`` wires everything to Perdure.
"""
