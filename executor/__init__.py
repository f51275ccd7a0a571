"""What happens when BestExporter runs: deciding, publishing, retiring."""
