"""Bilevel algorithms from samples, as pure steps on frozen states: the twins of ``reference``'s.

::

    bilevel       problems, upper objective, policy maps and X, together      (2.3), (5.4)
    pbrl          penalty-based descent: Algorithm 1 and (5.12)
    oracles       approximate solutions of the lower level                    (C.33)
    independent_gradient, meta_gradient     the baselines of Sections 6.1 and 6.3
    steps         step rules: descent, normalised, Adam
    appendix_e    the printed settings, and how the gaps they leave are filled
    checkpoint    states and records in files, bound to what they belong to
    progress      a bar on the terminal

With a stack of problems, all of them advance at once; to run several seeds, stack copies::

    from sampled.algorithms import appendix_e
    from sampled.algorithms.bilevel import bilevel
    from sampled.algorithms.contract import keys, run

    games = bilevel(stack([game_1, game_2, game_3]))
    algorithm = appendix_e.pbrl_value(games)
    start = algorithm.start(keys(torch.Generator().manual_seed(0), 3))
    state = run(algorithm, start, 1000).state         # state.x, state.y, state.steps_p

Means are exact with :class:`sampled.enumeration.Everything` in the place of ``Samples``.
"""
