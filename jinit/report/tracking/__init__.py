"""Copies of a sweep's records in experiment trackers; one file per tracker."""
