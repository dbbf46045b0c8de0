"""Where RLHF is tried: tables, MinAtar, and the Arcade Learning Environment."""
