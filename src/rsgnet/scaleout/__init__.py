"""Poses in millions of images on many machines: the input list is cut into shards, each processed exactly once.

Needs the extra `ray`.
"""
