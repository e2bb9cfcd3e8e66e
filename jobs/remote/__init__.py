"""Jobs on a Ray cluster: submit, find, follow and stop them; what travels to the cluster."""
