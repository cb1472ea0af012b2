"""Policies: pure state machines over an injected clock and an injected source of chance."""
