"""The driver of a run: it plans, hands shards to workers on Ray, and watches them."""
