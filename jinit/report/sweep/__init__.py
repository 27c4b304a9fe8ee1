"""Tables, figures and sentences from the records of a sweep."""
