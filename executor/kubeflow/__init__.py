"""What Kubeflow Pipelines and Vertex AI hand to a container."""
