"""The bias of a policy-gradient estimator against the exact gradient, with a guarantee."""
