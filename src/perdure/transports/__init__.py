"""How the world reaches an application: HTTP and what runs over it. Status codes are known here alone."""
