"""Audits of code that nobody here wrote, through the Gymnasium environment of a tabular problem.

Every trajectory of two steps goes through the rollout buffer and the loss of Stable-Baselines3's A2C;
how far is the gradient from what weights gamma^h would give, and from weights 1?

>>> import numpy as np
>>> from verify.audit.examples.findings import Scene, compared, enumerated
>>> from verify.audit.examples.stable_baselines3 import A2cGradient
>>> scene = Scene.default()  # three states, gamma = 0.8, a critic that is half the exact values
>>> found = enumerated(scene, A2cGradient(steps=2, critic_s=scene.critic_s))
>>> for discounted in (True, False):
...     error = found - scene.declared(2, discounted=discounted)
...     print(f"{np.linalg.norm(error) / np.linalg.norm(found):.4f}")
0.1101
0.0000
>>> print(*(f"{name} {size:.3f}" for name, size in compared(found, scene.exact).items()))
length 0.365 cosine 0.983

The other libraries, normalised advantages and truncation: ``python -m verify.audit.examples``.
"""
