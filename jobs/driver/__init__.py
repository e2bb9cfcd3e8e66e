"""The driver of a run: it plans, hands shards to cleaners on Ray, and watches them."""
