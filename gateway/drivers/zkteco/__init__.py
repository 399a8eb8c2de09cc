"""ZKTeco terminals by their PUSH protocol: attendance (2.x) and access control (3.x)."""
