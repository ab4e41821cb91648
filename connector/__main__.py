"""Entry point of ``connector`` and ``python -m connector``."""

from connector.cli.main import main

if __name__ == "__main__":
    main()
