"""The shell: loops and reads that drive the pure core against the ports. It never picks an engine."""
