"""What happens to calls while instances, and the source that names them, come and go."""
