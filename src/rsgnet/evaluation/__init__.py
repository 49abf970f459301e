"""Official scores and what stands behind them."""
