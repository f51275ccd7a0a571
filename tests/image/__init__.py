"""Builds and tests the image of the Dockerfile: `make test-image`."""
