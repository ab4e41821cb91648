"""The engine over a real PostgreSQL and the sandbox, real HTTP between them."""
