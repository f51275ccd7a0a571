"""The version directories that a model server polls."""
