"""The names that are asked by: units, layers, classes, labels and concepts. No network, no torch."""
