"""``python -m perdure``: the command line, as ``perdure`` itself runs it."""

from perdure.cli.main import main

if __name__ == "__main__":
    main()
