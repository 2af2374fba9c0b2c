"""`python -m archiver` is the same command as `archiver`."""

from archiver.cli.main import main

if __name__ == "__main__":
    main()
