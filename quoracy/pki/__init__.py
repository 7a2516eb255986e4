"""The certificate authority of a cluster, and what certificates say."""
