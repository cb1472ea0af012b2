"""HTTP by name: discovery, balancing, retries and tracing over one pooled client."""
