"""The streamed dispatch: many actions over one RPC to each instance, as much in a message as is waiting."""
