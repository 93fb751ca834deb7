"""`python -m neural_selfie`: the same as the console script."""

from neural_selfie.cli import main

if __name__ == "__main__":
    main()
