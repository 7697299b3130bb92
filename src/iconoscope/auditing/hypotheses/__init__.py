"""Hypotheses of what decides a class, made from the evidence on one half of the pictures and tested on the other."""
