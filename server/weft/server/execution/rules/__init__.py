"""The rules of the language, without a clock or a call: what follows from what happened."""
