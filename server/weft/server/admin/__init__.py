"""What is done to a store from outside of a server: ``weft admin``."""
