"""What happens around every RPC, one concern each."""
