"""The operator's desk: commands on a base directory, and the answers to questions about one."""
