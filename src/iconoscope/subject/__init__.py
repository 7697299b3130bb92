"""The subject of our questions: networks, units and images."""
