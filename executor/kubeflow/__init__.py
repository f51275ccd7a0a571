"""Repairs and translates what Kubeflow Pipelines and Vertex AI pass to a container."""
