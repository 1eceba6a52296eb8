"""The custom resources as models: schema, validation and documentation in one place.

Pure: pydantic only. The worker image imports this package too, so that both sides agree on names.
"""
