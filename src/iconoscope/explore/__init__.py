"""The explorer: move about in what was found of a network, and ask it the rest."""
