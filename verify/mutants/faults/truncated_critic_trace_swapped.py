"""The closed form mixes critic and measured value the wrong way round."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the closed form mixes critic and measured value the wrong way round",
    module="reference.truncated",
    old="ahead.append((1.0 - trace) * v_s + trace * follow_s)",
    new="ahead.append(trace * v_s + (1.0 - trace) * follow_s)",
    suspects=("estimators.actor_critic_generalised",),
)
