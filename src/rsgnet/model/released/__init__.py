"""RSGNet in the form in which its authors released it: the dense relation and the names of its weights."""
