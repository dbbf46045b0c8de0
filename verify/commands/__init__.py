"""The commands besides ``all``, ``list`` and ``check``: one file each."""
