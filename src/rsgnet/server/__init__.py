"""An HTTP service that returns the poses in uploaded images as JSON, with a web page to look at them.

Needs `rsgnet[serve]`.
"""
