"""The effect of the scale of the initial weights, as text and as a page."""
