"""iconoscope against its peers: every figure a ratio that was measured in one run."""
