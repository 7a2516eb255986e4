"""What is found: questions to hosts and the parsers of their answers. Pure."""
