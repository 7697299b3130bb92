"""What we question: networks, units and images."""
