"""The quantities and algorithms of :mod:`reference`, estimated from samples in PyTorch.

One way through, for any number of problems at once::

    from sampled.conversion import tensors          # a problem of reference -> tensors
    from sampled.horizons import Fixed
    from sampled.laws import Alias
    from sampled.simulator import rollout
    from sampled.sources import Independent

    task = tensors(mdp)                              # or stack([...]), an application, device="cuda"
    source = Independent(torch.Generator().manual_seed(0))
    batch = rollout(task.dynamics, [Alias.of(policy_psa)], Fixed(5), 16, source)
    r_pnh = batch.at_actions(task.r_psa)             # any table of (s, a), read along the trajectories
"""
