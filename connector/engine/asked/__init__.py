"""What people ask for through commands: requests, explanations, accepting a difference."""
