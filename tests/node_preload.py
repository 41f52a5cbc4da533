"""What the fork server imports once for every run of a node."""

import highdicom as _highdicom
import onnxruntime as _onnxruntime
import reportlab.platypus as _platypus

import cxr_device.node.service as _service

__all__ = ["_highdicom", "_onnxruntime", "_platypus", "_service"]
