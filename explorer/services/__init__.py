"""What the page and the command line ask for: pictures read, explored and reported."""
