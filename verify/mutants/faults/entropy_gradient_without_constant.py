"""The gradient of the negative entropy lacks its 1."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the gradient of the negative entropy lacks its 1",
    module="reference.regularizers",
    old="return 1.0 + np.log(pi_sa)\n",
    new="return np.log(pi_sa)\n",
    suspects=("policy.grad_pi",),
)
