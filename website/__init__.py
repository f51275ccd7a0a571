"""The documents as a web site: `make docs`."""
