"""Who listens to which topic, and the one way out."""
