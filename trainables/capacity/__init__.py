"""How flexible networks are, and what shapes what they find."""
