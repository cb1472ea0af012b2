"""What every part of Weft shares: errors, names, payloads, schemas and time. No I/O."""
