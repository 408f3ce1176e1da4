"""Values and words: what every other layer speaks in. No I/O, no clock, no async."""
