"""What a GPU says of the project, in minutes: steps in the order of their worth, a line each."""
