"""DICOM node: films in over C-STORE, a durable queue, answers back into the source study.

`server` receives, `queue` remembers, `worker` reads, `sender` delivers, `monitor` tells how it
goes, and `service` holds them together. Nothing is answered before it is safe on the disk, and
nothing is forgotten before it was delivered.
"""
