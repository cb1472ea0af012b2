"""Calls of gRPC methods by name, without generated code: descriptors, ProtoJSON, schemas, actions."""
