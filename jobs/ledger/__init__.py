"""The ledger: the records under `DST/_pumice/` that say what is claimed, committed and set aside."""
