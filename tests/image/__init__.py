"""The proof of the Dockerfile: `make test-image`."""
