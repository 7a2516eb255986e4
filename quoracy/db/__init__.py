"""The database: what is wanted of clusters, who works on them, and what was done."""
