"""The shop: shopping carts, and what can be learnt from them.

Read ``events`` first, then ``cart``, the smallest service, and ``app``, which wires everything to
Perdure and says which field answers which question. The rest are services of the same kind.
"""
