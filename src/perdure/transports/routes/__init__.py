"""What is answered where: ``table`` holds every row, the other modules the handlers."""
