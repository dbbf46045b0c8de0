"""Tests of the sampled algorithms."""
