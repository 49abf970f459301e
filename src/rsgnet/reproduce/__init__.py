"""The paper's tables: its figures, and what it takes to measure them again."""
