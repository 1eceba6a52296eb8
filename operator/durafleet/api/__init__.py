"""The custom resources as pydantic models: schema, validation and documentation in one place.

Imports only pydantic. The worker image imports this package too, so that both sides use the same names.
"""
