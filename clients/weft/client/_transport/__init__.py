"""The way of every call to a server: channels, connections, deadlines, retries and traces."""
