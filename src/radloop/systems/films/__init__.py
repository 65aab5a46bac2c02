"""What systems share that answer questions about a whole film."""
