"""Reinforcement learning from human feedback with networks: Section 6.2."""
