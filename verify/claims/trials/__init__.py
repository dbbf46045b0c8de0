"""Instances that meet the premises, random and adversarial, and what is measured on them."""
