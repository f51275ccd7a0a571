"""The run of a BestExporter: it decides, publishes and retires."""
