"""Person detectors: the shipped one, published ones and boxes from files."""
