"""How a call gets there: instances, balancing, policies, transports."""
