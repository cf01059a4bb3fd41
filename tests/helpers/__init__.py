"""What several test files use: processes, traffic, peers."""
