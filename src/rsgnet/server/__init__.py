"""The service: images in by HTTP, poses out as JSON, and a page to look at them. Needs `rsgnet[serve]`."""
