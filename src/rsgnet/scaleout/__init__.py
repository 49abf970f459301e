"""Millions of images on many machines: an input list in shards, each of which is done once. Needs the extra `ray`."""
