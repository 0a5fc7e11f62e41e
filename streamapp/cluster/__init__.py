"""How we reach Kafka outside Faust: clients from settings, topics, service state."""
