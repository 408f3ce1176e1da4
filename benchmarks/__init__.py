"""How fast Perdure is, as ratios to what the machine can do and to a peer. Run by ``make bench``."""
