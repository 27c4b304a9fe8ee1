"""Figures of what unsupervised pre-training learned."""
