"""What is told of a run: tables for people, JSON and JUnit for programs."""
