"""The networks that are used where none is named; docs/decisions/0019-default-network.md says why."""

DEFAULT_WEIGHTS = "small"  # a shipped pose network
DEFAULT_DETECTOR = "nano"  # a shipped detector
