"""An archive: many films, scored by the locked device in parallel, into one table.

films -> ledger (which blocks are done) -> engine (worker processes or Ray) -> table. A row is what
`Device.read` says of one file; nothing here judges a film.
"""

from cxr_device.archive.scoring import Scored, score

__all__ = ["Scored", "score"]
