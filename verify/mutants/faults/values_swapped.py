"""Each policy's weights meet the other's values in the gradient in x."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="each policy's weights meet the other's values in the gradient in x",
    module="reference.penalties.value",
    old="np.stack([best.v_s, own.v_s], axis=-2)",
    new="np.stack([own.v_s, best.v_s], axis=-2)",
    suspects=("value_penalty.grad_x",),
    statements=("theorem_11",),
)
