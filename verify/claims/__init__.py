"""The ledger: every numbered statement of the paper, as printed and as proved, with certificates.

One file per statement, each exporting ``CLAIM``.  Expected verdicts are in ``ledger.json``.
"""
