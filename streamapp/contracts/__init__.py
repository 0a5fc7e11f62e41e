"""What crosses a process boundary: messages, topics, codec, manifest, bundle, encoding."""
