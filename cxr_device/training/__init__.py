"""Training: films and labels in, locked weights and their record out.

Never imported by the device's path. Computes no statistic for a document: `cxr-validate` does.
"""
