"""The Weft server: registry, workflows and the engine that runs them."""
