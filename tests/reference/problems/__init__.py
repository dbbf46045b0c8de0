"""What is given: domains, maps, problems, files."""
