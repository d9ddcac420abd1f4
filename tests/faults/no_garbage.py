"""Imported last by the process that programs are forked from: what imports left behind is collected here, once.

Else each program collects it, at a moment that a signal may fall into.
"""

import gc

gc.collect()
gc.freeze()
