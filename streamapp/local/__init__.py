"""What runs on this machine only: the local Kafka broker, the demo's stream and its view."""
