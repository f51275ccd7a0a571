"""Reads and writes the JSON that Kubeflow Pipelines and Vertex AI exchange with a container."""
