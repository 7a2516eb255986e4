"""Where the archives of a version come from, and whether they are what they claim to be."""
