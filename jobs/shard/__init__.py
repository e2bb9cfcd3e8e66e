"""One attempt at one shard: its pages are decoded, cleaned, judged, encoded and staged."""
