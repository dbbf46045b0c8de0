"""Tests of the sampled side."""
