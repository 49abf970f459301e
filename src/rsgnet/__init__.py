"""RSGNet: multi-person 2D pose for crowded scenes."""
